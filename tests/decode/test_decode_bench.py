"""`t2fast bench-model` on a small model, and a plan priced by what it found."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from t2fast.cli.bench_model import unread_prompt
from t2fast.cli.main import main
from t2fast.costs import accelerator

Models = Callable[[str], tuple[Path, Any]]


def test_a_machine_that_was_timed_can_be_planned_on(
    model: Models, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, kept = str(model("llama-gqa-tied")[0]), str(tmp_path / "here.csv")
    quick = ["--rows", "1,8", "--prompts", "16", "--steps", "4", "--repeats", "1"]
    assert main(["bench-model", path, *quick, "-o", kept, "--name", "desk", "--gpu", "H100", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [(step["what"], step["rows"]) for step in found["steps"]] == [
        ("decode", 1),
        ("decode", 8),
        ("prompt", 16),
    ]
    chip = accelerator("desk", kept)
    peak = accelerator("H100")
    assert found["mfu"] == pytest.approx(chip.flops / peak.flops)
    assert found["mbu"] == pytest.approx(chip.bandwidth / peak.bandwidth)
    assert 0 < found["mfu"] < 1
    assert chip.memory > 1e9
    assert main(["bench-model", path, *quick]) == 0
    assert "off by a factor of" in capsys.readouterr().out
    assert main(["bench-model", path, "--steps", "0"]) == 1
    assert "--steps is 0" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (["--rows", "4,0"], "--rows is 0: give a whole number of at least 1"),
        (["--rows", "1.5"], "--rows is 1.5: give a whole number of at least 1"),
        (["--prompts", "0"], "--prompts is 0: give a whole number of at least 1"),
        (["--prompts", "16,1e6"], "--prompts is 1e+06, but the model was made for"),
    ],
)
def test_what_cannot_be_timed_is_named_before_anything_is(
    given: list[str], says: str, model: Models, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bench-model", str(model("llama-gqa-tied")[0]), *given]) == 1
    assert says in capsys.readouterr().err


@pytest.mark.parametrize("vocab", [7, 300])
def test_no_timed_prompt_begins_like_one_that_was_read(vocab: int) -> None:
    # An engine keeps what it has read: a prompt again, or its beginning, would be taken for read in no time.
    prompts = [unread_prompt(number, vocab, 16) for number in range(40)]
    assert all(len(prompt) == 16 and max(prompt) < vocab for prompt in prompts)
    assert len({tuple(prompt[:2]) for prompt in prompts}) == len(prompts)
