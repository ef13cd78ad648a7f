"""What commands that make, open and measure models print on terminals of 80 and 60 columns."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from rich.cells import cell_len
from terminals import NUMBER, shown

pytest.importorskip("torch", reason="models are trained by torch (t2fast[train])")

NAME = "a-model-with-a-name-that-goes-on-and-on-160M"
TRAIN = "train --generate 20k --width 16 --layers 1 --context 128 --tokens 8k --batch 4 --threads 1 -o MODEL"
SETTINGS = """
family = "qwen3"
sizes = [[8, 1, 1], [12, 1, 1]]
context = 64
vocab = 320
corpus_tokens = 300_000
batch = 8
least_steps = 20
lr = 1e-2
budgets = [2e8, 4e8]
tokens_per_param = [0.5, 20]
overtrained_budgets = []
overtrained_tokens_per_param = [5, 20]
repeated_budgets = []
repeats = 2
tasks = ["synthetic/knowledge"]
problems = 12
samples = 8
train_flops = 6.4e9
inference_flops = 1.2e5
loop_seeds = 1
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model, whose name is long, and the settings of a testbed."""
    folder = tmp_path_factory.mktemp("widths")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        text = shown(words(TRAIN), 60, patch)
        (folder / "train.txt").write_text(text)
        (folder / "bed.toml").write_text(SETTINGS)
    return folder


COMMANDS = {
    "evaluate": "evaluate --model MODEL --task synthetic/arithmetic -k 4 --score --problems 3 -o run",
    "simulate": "simulate --n-params 1e8,2e8 --n-tokens 1e9 --problems 2 --samples 4",
    "sample": "sample MODEL --prompt 2+2= -k 2 --max-tokens 4",
}
TIMED = {
    "bench-model": "bench-model MODEL --rows 1,2 --prompts 8 --steps 2 --repeats 1 --gpu h100",
    "testbed": "testbed bed.toml --estimate",
    "doctor": "doctor",
}


def words(command: str) -> list[str]:
    return command.replace("MODEL", NAME).split()


def widest(text: str) -> int:
    return max(map(cell_len, text.splitlines()))


@pytest.mark.parametrize("name", COMMANDS)
def test_no_number_is_cut(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    numbers = set(NUMBER.findall(shown(words(COMMANDS[name]), 240, monkeypatch)))
    for width in (80, 60):
        text = shown(words(COMMANDS[name]), width, monkeypatch)
        assert numbers <= set(NUMBER.findall(text))
        assert widest(text) <= width
        assert "…" not in text


@pytest.mark.parametrize("name", TIMED)
def test_no_line_is_wider_than_the_terminal(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    for width in (80, 60):
        text = shown(words(TIMED[name]), width, monkeypatch)
        assert widest(text) <= width
        assert "…" not in text


def test_what_was_trained_is_said_whole(folder: Path) -> None:
    text = (folder / "train.txt").read_text()
    assert widest(text) <= 60
    config = json.loads((folder / NAME / "config.json").read_text())
    said = re.sub(r"\s+", " ", text)
    assert f" {config['n_tokens']:,.0f} tokens (" in said
    assert re.search(r"held-out loss \d+\.\d{4}$", said.strip())


def test_a_model_gives_no_orders_to_a_terminal(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Names of problems and what a model says may hold escape codes."""
    monkeypatch.chdir(folder)
    prompt = {"problem": "a\x1b[31m", "prompt": "2 + 2 ="}
    (folder / "prompts.jsonl").write_text(json.dumps(prompt))
    text = shown(["sample", NAME, "--prompts-file", "prompts.jsonl", "--max-tokens", "2"], 60, monkeypatch)
    assert r"problem a\x1b[31m, sample 0" in text
