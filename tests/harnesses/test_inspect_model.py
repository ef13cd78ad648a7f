"""The engine as inspect-ai's model beside inspect's own for transformers: real tasks, real runs."""

from __future__ import annotations

import importlib.metadata
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

inspect_ai = pytest.importorskip("inspect_ai", reason="inspect-ai is not installed (t2fast[readers-test])")

import t2fast.decode  # noqa: E402
import t2fast.harnesses.inspect_ai  # noqa: E402 (what the entry point does)
from random_llama import texts  # noqa: E402


def task(prompts: list[str]) -> Any:
    from inspect_ai.dataset import Sample
    from inspect_ai.scorer import includes
    from inspect_ai.solver import generate

    samples = [Sample(id=i, input=text, target="mat") for i, text in enumerate(prompts)]
    return inspect_ai.Task(dataset=samples, solver=generate(), scorer=includes())


def evaluated(*arguments: Any, **options: Any) -> Any:
    """inspect's logs; in a thread, since a browser that an earlier test drove leaves its loop in this one."""
    with ThreadPoolExecutor(1) as one:
        return one.submit(inspect_ai.eval, *arguments, **options).result()


def run(model: str, prompts: list[str], logs: Path, model_args: dict[str, Any], **options: Any) -> Any:
    (log,) = evaluated(
        task(prompts),
        model=model,
        model_args=model_args,
        log_dir=str(logs),
        display="none",
        **{"temperature": None, "seed": 0, "max_tokens": 12, **options},
    )
    assert log.status == "success", log.error
    return log


def test_greedy_text_and_scores_are_those_of_transformers(folder: Path, tmp_path: Path) -> None:
    prompts = texts(12, 20)
    own = run(f"t2fast/{folder}", prompts, tmp_path, {"dtype": "float32"}, temperature=0)
    peer_arguments = {"device": "cpu", "do_sample": False, "dtype": "float32"}
    peer = run(f"hf/{folder}", prompts, tmp_path, peer_arguments, max_connections=12)
    by_id = {sample.id: sample for sample in peer.samples}
    for sample in own.samples:
        other = by_id[sample.id]
        assert sample.output.completion == other.output.completion
        assert sample.output.usage.output_tokens == other.output.usage.output_tokens
        assert {name: score.value for name, score in sample.scores.items()} == {
            name: score.value for name, score in other.scores.items()
        }
    assert len({sample.output.completion for sample in own.samples}) > 6
    assert own.results.scores[0].metrics["accuracy"].value == peer.results.scores[0].metrics["accuracy"].value


def test_epochs_are_samples_of_one_prompt(folder: Path, tmp_path: Path) -> None:
    prompts = [*texts(3, 9), "the cat"]
    arguments = {"model_args": {"dtype": "float32"}, "epochs": 5}
    log = run(f"t2fast/{folder}", prompts, tmp_path / "a", seed=3, **arguments)
    # What the model reads where it has no template.
    asked = {f"user: {prompt}\n": f"user: {prompt}\n" for prompt in prompts}
    engine = t2fast.decode.load(folder, dtype="float32")
    drawn = engine.sample(asked, k=5, seed=3, max_tokens=12).table
    for i, prompt in enumerate(prompts):
        found = sorted(sample.output.completion for sample in log.samples if sample.id == i)
        assert found == sorted(drawn.filter(problem=f"user: {prompt}\n")["text"])
        lengths = [sample.output.usage.output_tokens for sample in log.samples if sample.id == i]
        assert sorted(lengths) == sorted(drawn.filter(problem=f"user: {prompt}\n")["tokens"].list.len())
    reasons = {sample.output.stop_reason for sample in log.samples}
    assert reasons == {
        {"length": "max_tokens"}.get(reason, "stop") for reason in drawn["finish_reason"].to_list()
    }


def test_choices_are_samples_and_settings_are_obeyed(folder: Path, tmp_path: Path) -> None:
    log = run(
        f"t2fast/{folder}",
        ["the cat"],
        tmp_path,
        {"dtype": "float32"},
        num_choices=6,
        top_k=3,
        stop_seqs=[" a"],
        temperature=0.7,
    )
    (sample,) = log.samples
    prompt = "user: the cat\n"
    engine = t2fast.decode.load(folder, dtype="float32")
    rules = {"k": 6, "seed": 0, "max_tokens": 12, "top_k": 3, "temperature": 0.7, "stop": " a"}
    drawn = engine.sample({prompt: prompt}, **rules).table
    assert [choice.message.text for choice in sample.output.choices] == drawn["text"].to_list()
    assert sample.output.metadata["logprob"] == drawn["logprob"].to_list()


def test_what_the_engine_does_not_know_is_refused(folder: Path, tmp_path: Path) -> None:
    (log,) = evaluated(
        task(["the cat"]),
        model=f"t2fast/{folder}",
        log_dir=str(tmp_path),
        display="none",
        frequency_penalty=0.5,
    )
    assert log.status == "error"
    assert "does not know frequency_penalty" in log.error.message


def test_a_prompt_that_fills_the_model_ends_its_sample(folder: Path, tmp_path: Path) -> None:
    log = run(f"t2fast/{folder}", ["the cat " * 80], tmp_path, {"dtype": "float32"})
    assert [sample.output.stop_reason for sample in log.samples] == ["model_length"]
    long = run(f"t2fast/{folder}", ["the cat " * 30], tmp_path, {"dtype": "float32"}, max_tokens=500)
    usage = long.samples[0].output.usage
    assert usage.input_tokens + usage.output_tokens <= 96


TASK = """
from inspect_ai import Task, task
from inspect_ai.dataset import Sample
from inspect_ai.scorer import includes
from inspect_ai.solver import generate

@task
def made():
    return Task(dataset=[Sample(input="the cat", target="mat")], solver=generate(), scorer=includes())
"""


def test_the_command_finds_the_model_by_its_entry_point(folder: Path, tmp_path: Path) -> None:
    found = importlib.metadata.entry_points(group="inspect_ai", name="t2fast")
    if not found:
        pytest.skip("the package is not installed with its entry points (a source tree on the path)")
    (tmp_path / "made.py").write_text(TASK)
    options = ["--model", f"t2fast/{folder}", "-M", "dtype=float32", "--log-format", "json"]
    command = [sys.executable, "-m", "inspect_ai", "eval", "made.py", *options, "--display", "none"]
    more = ["--epochs", "3", "--max-tokens", "8", "--log-dir", str(tmp_path / "logs")]
    done = subprocess.run([*command, *more], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (log,) = (tmp_path / "logs").glob("*.json")
    assert json.loads(log.read_text())["status"] == "success"
    counts = t2fast.read_results(tmp_path / "logs")
    assert counts.n.tolist() == [3]
