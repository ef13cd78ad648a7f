"""Samples as text, on the real model: stop strings, verification, chat, interruption, the command line."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import decode_models  # noqa: F401 (skips where the extra decode-test is missing)
import polars as pl
import pytest
import t2fast.decode
from t2fast.decode.request import Sampling
from test_decode_sampling import same

PROMPT = "The capital of France is"


@pytest.fixture(scope="module")
def engine(smollm2):
    return t2fast.decode.load(smollm2, threads=2)


@pytest.fixture(scope="module")
def plain(engine):
    """Twelve samples without a stop string."""
    return engine.sample(PROMPT, k=12, seed=1, max_tokens=24, temperature=0.8)


def test_text_is_that_of_the_tokens(engine, plain):
    for row in plain.table.iter_rows(named=True):
        assert row["text"] == engine.tokenizer.decode(row["tokens"])
        assert row["stop"] is None
        assert row["finish_reason"] in ("length", "stop_token")
        assert row["logprob"] < 0
    assert (plain.n_params, plain.sampling.seed, plain.interrupted) == (engine.core.model.n_params, 1, False)
    assert plain.dtype in ("float32", "bfloat16")


def test_stop_strings_end_samples_across_token_boundaries(engine, plain):
    """Every stretch of text that a sample is known to hold ends it there, wherever its tokens are cut."""
    whole = plain.table.row(0, named=True)
    text = whole["text"]
    ends = [len(engine.tokenizer.decode(whole["tokens"][:i])) for i in range(len(whole["tokens"]) + 1)]
    spans = [(a, a + n) for a in range(3, len(text) - 9, 9) for n in (1, 3, 8)]
    assert any(start < end < stop for start, stop in spans for end in ends)
    for start, end in spans:
        stop = text[start:end]
        row = engine.sample(
            PROMPT, k=1, seed=1, max_tokens=24, temperature=0.8, stop=["never in it", stop]
        ).table.row(0, named=True)
        assert row["finish_reason"] == "stop_string"
        assert row["stop"] == stop
        assert row["text"] == text[: text.index(stop)]
        drawn = row["tokens"]
        assert drawn == whole["tokens"][: len(drawn)]
        assert stop in engine.tokenizer.decode(drawn)
        assert stop not in engine.tokenizer.decode(drawn[:-1])


def test_a_stop_string_may_be_a_special_token(engine):
    options = {"k": 4, "max_tokens": 40, "chat": True, "temperature": 0.3}
    by_token = engine.sample("Say yes.", **options).table
    by_string = engine.sample("Say yes.", **options, stop="<|im_end|>", stop_tokens=[]).table
    assert by_string["text"].to_list() == by_token["text"].to_list()
    ended = by_token["finish_reason"] == "stop_token"
    assert ended.any()
    assert ((by_string["finish_reason"] == "stop_string") == ended).all()


def test_stop_does_not_depend_on_the_batch(engine):
    options = {"seed": 2, "max_tokens": 30, "stop": [".", "\n"]}
    whole = engine.sample([PROMPT, "Water boils at"], k=20, **options).table
    assert whole["finish_reason"].value_counts().height > 1
    for i, prompt in enumerate([PROMPT, "Water boils at"]):
        same(engine.sample({i: prompt}, k=5, max_rows=2, **options).table, whole.filter(problem=i).head(5))


def test_verify_ends_a_problem_at_its_first_right_sample(engine):
    prompts = {"france": PROMPT, "never": "Water boils at"}
    options = {"k": 40, "seed": 4, "max_tokens": 12, "temperature": 0.8, "max_rows": 8}
    seen = []

    def verify(problem, text):
        seen.append((problem, text))
        return problem == "france" and "Paris" in text

    everything = engine.sample(prompts, **options).table
    stopped = engine.sample(prompts, verify=verify, **options)
    table = stopped.table
    france = table.filter(problem="france")
    first = france["correct"].index_of(True)
    expected = everything.filter(problem="france")["text"].str.contains("Paris").index_of(True)
    assert first == expected
    assert france["correct"][:first].to_list() == [False] * first
    assert (france["finish_reason"] == "cancelled").any()
    never = table.filter(problem="never")
    assert never["correct"].to_list() == [False] * 40
    same(never.drop("correct"), everything.filter(problem="never"))
    done = table.filter(pl.col("finish_reason") != "cancelled")
    assert sorted(seen) == sorted(zip(done["problem"], done["text"], strict=True))
    counts = stopped.counts()
    assert counts.columns == ["problem", "n_samples", "n_correct", "until_successes", "max_samples"]
    assert counts.rows() == [("france", first + 1, 1, 1, 40), ("never", 40, 0, 1, 40)]
    with pytest.raises(ValueError, match="verify"):
        engine.sample(PROMPT, k=1, max_tokens=1).counts()


def test_each_hands_on_what_sample_returns(engine):
    prompts = {"france": PROMPT, "never": "Water boils at"}
    sampling = Sampling(seed=2, max_tokens=6, stop=("\n", "."))
    whole = engine.sample(prompts, sampling, k=5).table
    found = []

    def finished(one):
        found.append(one)
        return False

    assert engine.each(prompts, finished, sampling, k=5, have=[[1, 2], []], ahead=2)
    rows = whole.filter(~((pl.col("problem") == "france") & pl.col("sample").is_in([1, 2])))
    assert sorted(
        (one.problem, one.sample, one.text, one.length, one.logprob, one.finish_reason) for one in found
    ) == [
        (row["problem"], row["sample"], row["text"], len(row["tokens"]), row["logprob"], row["finish_reason"])
        for row in rows.iter_rows(named=True)
    ]


def test_an_error_in_verify_reaches_the_caller(engine):
    def verify(problem, text):
        raise KeyError("from verify")

    with pytest.raises(KeyError, match="from verify"):
        engine.sample(PROMPT, k=2, max_tokens=2, verify=verify)


def test_chat_puts_prompts_through_the_template(engine):
    messages = [{"role": "user", "content": "Name a colour."}]
    options = {"k": 2, "max_tokens": 8}
    table = engine.sample("Name a colour.", chat=True, **options).table
    same(engine.sample(messages, chat=True, **options).table, table)
    rendered = (
        "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n"
        "<|im_start|>user\nName a colour.<|im_end|>\n<|im_start|>assistant\n"
    )
    same(engine.sample(rendered, **options).table, table)
    scored = engine.score([messages], [["Blue"]], chat=True)
    assert scored["logprobs"].to_list() == engine.score([rendered], [["Blue"]])["logprobs"].to_list()


@pytest.mark.parametrize("stop", [[], [" the"], ["never in it"]])
def test_text_streams_as_it_is_drawn(engine, stop):
    pieces = []
    options = {"k": 1, "seed": 5, "max_tokens": 20, "stop": stop}
    text = engine.sample(PROMPT, stream=pieces.append, **options).table["text"][0]
    assert "".join(pieces) == text == engine.sample(PROMPT, **options).table["text"][0]
    assert len(pieces) > 3
    with pytest.raises(ValueError, match="k=1"):
        engine.sample(PROMPT, k=2, stream=pieces.append)


def run_cli(*arguments: str, **options) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "t2fast", "sample", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, **options)


def test_command_line_writes_ordered_json(smollm2, engine, tmp_path):
    options = ["-k", "5", "--seed", "3", "--max-tokens", "10", "--threads", "2", "--temperature", "0.8"]
    done = run_cli(str(smollm2), "--prompt", PROMPT, *options, "--stop", ".", "--json")
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [list(row) for row in rows] == [["problem", "sample", "text", "finish_reason", "logprob"]] * 5
    table = engine.sample(PROMPT, k=5, seed=3, max_tokens=10, temperature=0.8, stop=".").table
    assert rows == table.select("problem", "sample", "text", "finish_reason", "logprob").to_dicts()
    assert "tokens" in done.stderr

    file = tmp_path / "prompts.jsonl"
    file.write_text(
        '{"prompt": "Water boils at", "problem": "water"}\n\n' + json.dumps({"prompt": PROMPT}) + "\n"
    )
    done = run_cli(str(smollm2), "--prompts-file", str(file), *options, "--json")
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(row["problem"], row["sample"]) for row in rows] == [
        (problem, i) for problem in ("water", "2") for i in range(5)
    ]
    text = run_cli(str(smollm2), "--prompts-file", "-", *options, input=file.read_text())
    assert all(row["text"] in text.stdout for row in rows)


def test_command_line_names_what_is_wrong(smollm2, tmp_path):
    done = run_cli(str(tmp_path / "none.gguf"), "--prompt", "x")
    assert (done.returncode, done.stdout) == (1, "")
    assert "none.gguf" in done.stderr
    assert "Traceback" not in done.stderr
    bad = tmp_path / "bad.jsonl"
    bad.write_text('{"prompt": "x"}\n{"text": "x"}\n')
    done = run_cli(str(smollm2), "--prompts-file", str(bad))
    assert done.returncode == 1
    assert "line 2" in done.stderr
    assert "examples:" in run_cli("--help").stdout


def test_interrupt_keeps_finished_samples(smollm2):
    """Ctrl-C in the middle of a run far too long to finish: it ends soon, and what is finished is printed."""
    arguments = [
        str(smollm2),
        "--prompt",
        PROMPT,
        "-k",
        "4000",
        "--max-tokens",
        "3000",
        "--json",
        "--stop",
        ".",
    ]
    process = subprocess.Popen(
        [sys.executable, "-m", "t2fast", "sample", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    time.sleep(12)
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    rows = [json.loads(line) for line in out.splitlines()]
    assert rows
    assert {row["finish_reason"] for row in rows} <= {"stop_string", "stop_token", "length"}
    assert "interrupted" in err
