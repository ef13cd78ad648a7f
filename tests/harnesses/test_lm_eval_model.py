"""The engine as lm-eval's model beside lm-eval's own for transformers: a small model, tasks made here."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from made_tasks import write_tasks
from random_llama import texts

lm_eval = pytest.importorskip("lm_eval", reason="lm-eval is not installed (t2fast[readers-test])")


@pytest.fixture(scope="module")
def ours(folder: Path) -> Any:
    from t2fast.harnesses.lm_eval import T2Fast

    return T2Fast(str(folder), dtype="float32")


@pytest.fixture(scope="module")
def peer(folder: Path) -> Any:
    from lm_eval.models.huggingface import HFLM

    return HFLM(str(folder), dtype="float32", device="cpu", batch_size=4)


def requests(kind: str, arguments: list[tuple[Any, ...]]) -> list[Any]:
    from lm_eval.api.instance import Instance

    return [Instance(kind, {}, pair, i) for i, pair in enumerate(arguments)]


def test_scores_are_those_of_transformers(ours: Any, peer: Any) -> None:
    contexts = [*texts(30, 30), "", "the cat "]
    pairs = [(context, " " + answer) for context in contexts for answer in texts(4, 3)]
    # What transformers would say itself, where its text is one that a tokenizer would cut the same.
    short = {"until": [], "max_gen_toks": 1}
    some = [context for context in contexts if context]
    asked = requests("generate_until", [(context, short) for context in some])
    said = peer.generate_until(asked, disable_tqdm=True)
    pairs += [(context, text) for context, text in zip(some, said, strict=True) if text.strip()]
    found = ours.loglikelihood(requests("loglikelihood", pairs))
    expected = peer.loglikelihood(requests("loglikelihood", pairs), disable_tqdm=True)
    assert [value for value, _ in found] == pytest.approx([value for value, _ in expected], abs=2e-4)
    assert [flag for _, flag in found] == [flag for _, flag in expected]
    assert any(flag for _, flag in found)


def test_long_texts_are_scored_in_the_same_windows(ours: Any, peer: Any) -> None:
    long = [(" ".join(texts(20, 30)),), *((text,) for text in texts(3, 20))]
    found = ours.loglikelihood_rolling(requests("loglikelihood_rolling", long))
    expected = peer.loglikelihood_rolling(requests("loglikelihood_rolling", long), disable_tqdm=True)
    assert found == pytest.approx(expected, rel=1e-5)


def test_greedy_text_is_the_same_up_to_its_stop(ours: Any, peer: Any) -> None:
    settings = {"until": [" the", "\n"], "max_gen_toks": 24, "do_sample": False}
    asked = [(text, settings) for text in [*texts(10, 40), " ".join(texts(9, 40))]]
    found = ours.generate_until(requests("generate_until", asked))
    assert found == peer.generate_until(requests("generate_until", asked), disable_tqdm=True)
    assert len(set(found)) > 1


def test_repeats_are_samples_of_one_prompt(ours: Any) -> None:
    settings = {"until": [], "max_gen_toks": 8, "do_sample": True, "temperature": 1.0}
    asked = requests("generate_until", [("the cat", settings)] * 6 + [("a mat", settings)] * 6)
    found = ours.generate_until(asked)
    assert len(set(found)) > 2
    assert found == ours.generate_until(asked)
    with pytest.raises(ValueError, match="generation_kwargs num_beams"):
        ours.generate_until(requests("generate_until", [("a", {**settings, "num_beams": 4})]))


# What the script t2fast-lm-eval runs.
COMMAND = "from t2fast.harnesses import lm_eval_command; lm_eval_command()"


def test_the_command_is_lm_evals_own_with_one_more_model() -> None:
    listed = "from lm_eval.api.registry import model_registry as r; import atexit; "
    listed += "atexit.register(lambda: print('t2fast' in r.keys(), 'hf' in r.keys())); "
    for start in ("-c", listed + COMMAND), ("-m", "t2fast.harnesses.lm_eval"):
        done = subprocess.run([sys.executable, *start, "--help"], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert "lm-eval" in done.stdout
        assert start[0] == "-m" or "True True" in done.stdout
    missing = "import sys; sys.modules['lm_eval'] = None; " + COMMAND
    done = subprocess.run([sys.executable, "-c", missing], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("t2fast-lm-eval: ")
    assert done.stderr.count("\n") == 1


def test_every_prompt_is_told_the_date_on_which_the_model_was_opened(folder: Path, tmp_path: Path) -> None:
    from t2fast.harnesses.lm_eval import T2Fast

    shutil.copytree(folder, tmp_path / "model")
    template = "{{ strftime_now('%d %b %Y') }}: {{ messages[0]['content'] }}"
    (tmp_path / "model" / "chat_template.jinja").write_text(template)
    model = T2Fast(str(tmp_path / "model"), dtype="float32")
    chat = [{"role": "user", "content": "the cat"}]
    assert model.apply_chat_template(chat) == f"{model.now:%d %b %Y}: the cat"
    model.now = datetime(2020, 1, 2)
    assert model.apply_chat_template(chat) == "02 Jan 2020: the cat"


@pytest.mark.slow
def test_the_command_runs_tasks_as_with_transformers(folder: Path, tmp_path: Path) -> None:
    rows = [{"text": text, "choices": texts(3, 2), "answer": i % 3} for i, text in enumerate(texts(8, 20))]
    write_tasks(tmp_path, rows, until=" a", most_tokens=6)
    asked = ["--tasks", "made_choice,made_text", "--include_path", str(tmp_path)]
    found = []
    for model in ("t2fast", "hf"):
        out = tmp_path / model
        options = ["--model", model, "--model_args", f"pretrained={folder},dtype=float32"]
        kept = ["--output_path", str(out), "--log_samples"]
        command = [sys.executable, "-c", COMMAND, *asked, *options, *kept]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        (results,) = out.glob("**/results_*.json")
        samples = {file.name.split("_2")[0]: file.read_text() for file in out.glob("**/samples_*.jsonl")}
        found.append((json.loads(results.read_text())["results"], samples))
    for task in ("made_choice", "made_text"):
        metrics = [name for name in found[0][0][task] if name.startswith(("acc", "exact_match"))]
        scores = [[results[task][name] for name in metrics] for results, _ in found]
        assert metrics
        assert scores[0] == scores[1]
    said = [[json.loads(line)["resps"] for line in s["samples_made_text"].splitlines()] for _, s in found]
    assert said[0] == said[1]
