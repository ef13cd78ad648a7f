"""Files of tools with anything in the place of anything: an error that says so, or counts, nothing else."""

from __future__ import annotations

import contextlib
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from t2fast.readers import read_results

WRITTEN = Path(__file__).parent / "written"
FILES = [
    path
    for path in sorted(WRITTEN.rglob("*.json*"))
    if path.suffix in (".json", ".jsonl") and path.stat().st_size < 60_000
]
ANYTHING: list[Any] = [
    *(None, True, 0, -1, 2**70, 1.5, float("nan"), 1e308, -0.0, "", "x", "C", "\ud800"),
    *([], {}, [1], {"a": 1}, [[]]),
]
Put = Callable[[Any], None]


def places(value: Any, put: Put) -> list[tuple[Any, Put]]:
    """Every value in `value`, of long arrays the first twenty, and what puts another into its place."""
    found = [(value, put)]
    keys: list[Any] = []
    if isinstance(value, dict | list):
        keys = list(value) if isinstance(value, dict) else list(range(min(len(value), 20)))
    for key in keys:
        found += places(value[key], lambda new, key=key: value.__setitem__(key, new))  # type: ignore[misc]
    return found


def damaged(whole: Any, draw: random.Random) -> Any:
    """The value with one or two things in it taken away, twice, or another."""
    box = [whole]
    all_places = places(whole, lambda new: box.__setitem__(0, new))
    for _ in range(draw.randint(1, 2)):
        value, put = draw.choice(all_places)
        if isinstance(value, dict) and value and draw.random() < 0.4:
            value.pop(draw.choice(list(value)))
        elif isinstance(value, list) and value and draw.random() < 0.4:
            value.append(value[0])
        else:
            put(draw.choice(ANYTHING))
    return box[0]


def write(path: Path, content: Any, lines: bool) -> None:
    rows = content if lines and isinstance(content, list) else [content]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.mark.parametrize("seed", range(4))
def test_a_damaged_file_is_an_error_that_says_so(seed: int, tmp_path: Path) -> None:
    draw = random.Random(seed)
    for _ in range(120):
        path = draw.choice(FILES)
        text = path.read_text("utf-8")
        lines = path.suffix == ".jsonl" and not text.startswith("[")
        whole = [json.loads(line) for line in text.splitlines() if line] if lines else json.loads(text)
        write(tmp_path / path.name, damaged(whole, draw), lines)
        for choices in ({}, {"metric": "x"}, {"errors": "fail"}):
            with contextlib.suppress(ValueError):
                read_results(tmp_path / path.name, **choices)


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        (
            "per_instance_stats.json",
            [{"instance_id": ["id1"], "train_trial_index": 0, "stats": []}],
            "instance_id in row 1 of .* is an array, not text",
        ),
        (
            "logs.json",
            {"0": [[[0], {"completion_id": 0, "passed": True, "result": "passed", "task_id": 0}]]},
            "the completion of result 1 of '0' in .* is an array, not a whole number",
        ),
        (
            "samples.jsonl",
            [{"doc_id": [0], "doc": {}, "target": "4", "resps": [["4"]], "exact_match": 1.0}],
            "doc_id in row 1 of .* is an array, not a whole number",
        ),
    ],
)
def test_a_name_that_is_none_is_named(file: str, content: Any, message: str, tmp_path: Path) -> None:
    write(tmp_path / file, content, file.endswith(".jsonl"))
    with pytest.raises(ValueError, match=message):
        read_results(tmp_path / file)


@pytest.mark.parametrize("tokens", [{"n": 3}, "3", True, 10**400, -1])
def test_usage_that_is_no_number_is_not_known(tokens: Any, tmp_path: Path) -> None:
    row = {"example_id": 0, "prompt": "q", "reward": 1.0, "token_usage": {"input_tokens": 5}}
    rows = [row, {**row, "token_usage": {"input_tokens": 5, "output_tokens": tokens}}]
    write(tmp_path / "results.jsonl", rows[1:], True)
    frame = read_results(tmp_path / "results.jsonl").frame
    assert frame.select("n_samples", "n_correct").rows() == [(1, 1)]
    assert frame["prompt_tokens"].to_list() == [5]
    assert "output_tokens" not in frame.columns
