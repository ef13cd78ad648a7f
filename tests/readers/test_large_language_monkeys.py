"""large_language_monkeys is no tool to install: PyYAML writes the files here, in its published layout."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from t2fast.readers import read_results

yaml = pytest.importorskip("yaml", reason="PyYAML is not installed (t2fast[readers])")


def write(folder: Path, problem: str, verdicts: list[bool], key: str = "is_corrects", **more: Any) -> Path:
    path = folder / f"{problem}.yaml"
    content = {
        "prompt": "Q: what is 2 + 2?\nA:",
        "question": "what is 2 + 2?",
        "samples": [f"It is {i}.\nis_corrects:\n- true\n" for i in range(len(verdicts))],
        "gt_answer": "4",
        key: verdicts,
        **more,
    }
    path.write_text(yaml.dump(content))
    return path


def test_a_folder_of_problems(tmp_path: Path) -> None:
    write(tmp_path, "12", [True, False, True])
    write(tmp_path, "3", [False, False], key="is_correct")
    write(tmp_path, "4", [])
    counts = read_results(tmp_path, model="llama", task="math")
    assert counts.frame.drop("model", "task").rows() == [("12", 3, 2), ("3", 2, 0)]
    assert [(part.rows, part.reason) for part in counts.left_out] == [(1, "problem without samples")]


def test_one_problem_with_comments(tmp_path: Path) -> None:
    path = write(tmp_path, "7", [True])
    path.write_text("# written by hand\n---\n" + path.read_text())
    assert read_results(path).frame.rows() == [("7", 1, 1)]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("prompt: x\nis_corrects: [true, yes]\n", "is_corrects 2 of .* is 'yes', not true or false"),
        ("prompt: x\nis_corrects: [true, 'true']\n", "is_corrects 2 of .* is None, not true or false"),
        ("prompt: x\nis_corrects: [&a true, *a]\n", "is_corrects 2 of .* is None"),
        ("prompt: x\nis_corrects: [[true]]\n", "is_corrects 1 of .* is None"),
        ("prompt: x\nis_corrects: !!python/object/apply:os.system ['true']\n", "is 'true'|is None"),
        ("prompt: x\nis_corrects: {a: true}\n", "is_corrects of .* is no list"),
        ("prompt: x\nis_corrects: [true]\nis_correct: [true]\n", "has both is_corrects and is_correct"),
        ("prompt: x\nis_corrects: [true]\nis_corrects: [true]\n", "has is_corrects twice"),
        ("prompt: x\n", "has no is_corrects, nor is_correct"),
        ("prompt: x\nsamples: [a, b]\nis_corrects: [true]\n", "has 2 samples but 1 is_corrects"),
        ("prompt: x\nis_corrects: [true\n", "is no YAML"),
        ("prompt: x\n--- \nprompt: y\n", "is not one mapping"),
        ("prompt: " + "[" * 100_000, "is no YAML|nested"),
        ("prompt: \x00", "is no YAML"),
    ],
)
def test_faults_are_named(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "1.yaml"
    path.write_text(content)
    with pytest.raises(ValueError, match=message):
        read_results(path)


def test_aliases_are_not_expanded(tmp_path: Path) -> None:
    """Nine levels of nine: a thousand million strings, if they were built."""
    levels = ["a0: &a0 [lol, lol]"]
    levels += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 10)]
    path = tmp_path / "1.yaml"
    path.write_text("prompt: x\n" + "\n".join(levels) + "\nis_corrects: [true]\n")
    assert read_results(path).frame.rows() == [("1", 1, 1)]
