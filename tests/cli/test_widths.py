"""What commands print on terminals of 80 and 60 columns: no line is longer, and no number is cut or lost."""

from __future__ import annotations

import io
import re
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from rich.cells import cell_len
from t2fast.cli.main import main
from terminals import NUMBER, shown

MODELS = [
    ("EleutherAI/pythia-160m-deduped", 1.6e8, 2e9),
    ("EleutherAI/pythia-410m-deduped", 4.1e8, 8e9),
    ("a/model-1.2B-with-a-name-that-goes-on", 1.2e9, 3e10),
    ("llama[v2]", 1.6e8, 3e10),
    ("é-模型", 2.8e9, 2e9),
    ("m6", 4.1e8, 3e10),
]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """counts.csv, losses.csv, runs.csv and prices.csv."""
    folder = tmp_path_factory.mktemp("widths")
    rng = np.random.default_rng(1)
    counts = [
        (*model, "gsm8k", f"p{j}", 32, int(rng.binomial(32, p)))
        for i, model in enumerate(MODELS)
        for j, p in enumerate(rng.beta(0.3, 1.5, 30) ** (1 / (1 + 0.3 * i)))
    ]
    names = ["model", "n_params", "n_tokens", "task", "problem", "n_samples", "n_correct"]
    pl.DataFrame(counts, schema=names, orient="row").write_csv(folder / "counts.csv")
    losses = [
        (n, d, 1.7 + 400 / n**0.34 + 410 / d**0.28 + rng.normal(0, 0.01))
        for n in (1e8, 2e8, 4e8, 8e8, 1.6e9)
        for d in (1e9, 3e9, 9e9, 2.7e10)
    ]
    pl.DataFrame(losses, schema=["n_params", "n_tokens", "loss"], orient="row").write_csv(
        folder / "losses.csv"
    )
    runs = [(n, d) for n in (1e8, 8e8) for d in (2e9, 5e10)]
    pl.DataFrame(runs, schema=["n_params", "n_tokens"], orient="row").write_csv(folder / "runs.csv")
    usd = {f"usd_per_million_{kind}_tokens": [0.1, 0.2, 0.5, 1.0, 2.0, 0.3] for kind in ("prompt", "output")}
    pl.DataFrame({"model": [name for name, *_ in MODELS], **usd}).write_csv(folder / "prices.csv")
    return folder


BUDGETS = ["--train-flops", "2.56e19", "--inference-flops", "2e9"]
SERVED = ["--prices", "prices.csv", "--prompt-tokens", "500", "--output-tokens", "400"]
COMMANDS = {
    "passk": ["passk", "counts.csv", "-k", "1,8,64"],
    "passk beyond": ["passk", "counts.csv", "-k", "1,1000", "--missing", "extrapolate"],
    "compare": ["compare", "counts.csv", "--draws", "200"],
    "outcomes": ["outcomes", "counts.csv", "--train-flops", "2e19", "--inference-flops", "1e10"],
    "fit forecast": ["fit", "losses.csv", "--draws", "40"],
    "fit chinchilla": ["fit", "losses.csv", "--law", "chinchilla", "--draws", "40"],
    "fit accuracy": ["fit", "counts.csv", "--law", "accuracy", "--draws", "40"],
    "fit counts": ["fit", "counts.csv", "--law", "counts", "--draws", "40"],
    "validate": ["validate", "losses.csv", "--splits", "1", "--methods", "chinchilla"],
    "plan": ["plan", *BUDGETS],
    "plan profile": ["plan", *BUDGETS, "--profile"],
    "plan frontier": ["plan", "--train-flops", "1e22", "--inference-flops", "2e9", "--frontier"],
    "plan for money": ["plan", "--usd", "1e4", "--queries", "1e6", "--gpu", "h100", "--usd-per-hour", "2"],
    "choose": ["choose", "counts.csv", *SERVED, "--target", "0.4"],
    "design": ["design", "losses.csv", "--runs", "runs.csv", "--at", "3B,60B"],
    "config": ["config"],
}


@pytest.mark.parametrize("name", COMMANDS)
def test_no_line_is_wider_and_no_number_is_lost(
    name: str, files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(files)
    whole = shown(COMMANDS[name], 240, monkeypatch)
    numbers = set(NUMBER.findall(whole))
    for width in (80, 60):
        text = shown(COMMANDS[name], width, monkeypatch)
        assert max(map(cell_len, text.splitlines())) <= width
        assert numbers <= set(NUMBER.findall(text))
        assert text.count("…") == whole.count("…")


def test_passk_at_80_and_60_columns(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(files)
    command = ["passk", "counts.csv", "-k", "1,64", "--where", "model=EleutherAI/pythia-160m-deduped"]
    assert shown(command, 80, monkeypatch) == (
        "model EleutherAI/pythia-160m-deduped   n_params 160M   n_tokens 2B   task gsm8k\n"
        " k  pass@k      95% interval  problems\n"
        " 1  0.1385  0.0705 to 0.2360        30\n"
        "64     NaN  0.4027 to 1.0000   0 of 30\n"
        "! 0 of 30 problems have 64 samples: NaN, and bounds on the mean over all\n"
    )
    assert shown(command, 60, monkeypatch) == (
        "model EleutherAI/pythia-160m-deduped   n_params 160M\n"
        "n_tokens 2B   task gsm8k\n"
        " k  pass@k      95% interval  problems\n"
        " 1  0.1385  0.0705 to 0.2360        30\n"
        "64     NaN  0.4027 to 1.0000   0 of 30\n"
        "! 0 of 30 problems have 64 samples: NaN, and bounds on the \n"
        "mean over all\n"
    )


def test_compare_at_80_and_60_columns(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(files)
    command = ["compare", "counts.csv", "-k", "1,8", "--max-params", "2e8"]
    assert shown(command, 80, monkeypatch) == (
        "k  side                            pass@k  difference            95% band  best\n"
        "1  EleutherAI/pythia-160m-deduped  0.1385                                    7%\n"
        "   llama[v2]                       0.2510     +0.1125  -0.0410 to +0.2660   93%\n"
        "8  EleutherAI/pythia-160m-deduped  0.4307                                    7%\n"
        "   llama[v2]                       0.6350     +0.2043  -0.0930 to +0.5017   93%\n"
        "differences from EleutherAI/pythia-160m-deduped over 30 problems; a band holds \n"
        "at every k\n"
        "llama[v2]: no sign is settled; its first loss, if there is one, lies at k = 1, 8\n"
    )
    assert shown(command, 60, monkeypatch) == (
        "k 1   side EleutherAI/pythia-160m-deduped   pass@k 0.1385\n"
        "best 7%\n"
        "\n"
        "side llama[v2]   pass@k 0.2510   difference +0.1125\n"
        "95% band -0.0410 to +0.2660   best 93%\n"
        "\n"
        "k 8   side EleutherAI/pythia-160m-deduped   pass@k 0.4307\n"
        "best 7%\n"
        "\n"
        "side llama[v2]   pass@k 0.6350   difference +0.2043\n"
        "95% band -0.0930 to +0.5017   best 93%\n"
        "differences from EleutherAI/pythia-160m-deduped over 30 \n"
        "problems; a band holds at every k\n"
        "llama[v2]: no sign is settled; its first loss, if there is \n"
        "one, lies at k = 1, 8\n"
    )


def test_choose_at_80_and_60_columns(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(files)
    command = ["choose", "counts.csv", *SERVED, "--target", "0.4", "--only", "m6,llama[v2]"]
    assert shown(command, 80, monkeypatch) == (
        "Best buy for pass@k 0.4 on 30 new problems with 95% confidence at least cost, on\n"
        "30 problems\n"
        "                         model  k  pass@k  USD/query  USD/solved\n"
        "k samples at once        m6     4  0.6613    0.00108     0.00163\n"
        "one by one until solved  m6     4  0.6613   0.000671     0.00101\n"
        "chance that nothing cheaper reaches the target: 1%; that its model is the best, \n"
        "whatever the k: 100%\n"
        "chance that new problems meet the target: 99%\n"
        "cheapest on these problems, whatever the confidence: m6, k = 2, 0.00054 USD a \n"
        "query; new problems meet the target with 88%\n"
        "\n"
        "What nothing cheaper equals, k samples at once:\n"
        "model   k  pass@k    95% interval  USD/query  USD/solved  best\n"
        "m6      1  0.3802  0.233 to 0.545    0.00027     0.00071  100%\n"
        "m6      2  0.5270  0.349 to 0.700    0.00054     0.00102  100%\n"
        "m6      3  0.6090  0.417 to 0.780    0.00081     0.00133  100%\n"
        "m6      4  0.6613  0.463 to 0.826    0.00108     0.00163  100%\n"
        "m6      5  0.6977  0.496 to 0.856    0.00135     0.00193  100%\n"
        "m6      7  0.7463  0.544 to 0.893    0.00189     0.00253  100%\n"
        "m6      9  0.7791  0.577 to 0.916    0.00243     0.00312  100%\n"
        "m6     12  0.8139  0.611 to 0.940    0.00324     0.00398  100%\n"
        "m6     17  0.8513  0.643 to 0.964    0.00459     0.00539   99%\n"
        "m6     23  0.8773  0.661 to 0.979    0.00621     0.00708   99%\n"
        "m6     32  0.9000  0.669 to 0.990    0.00864      0.0096   73%\n"
        "! cascade, each until solved: none meets the request and beats one model alone\n"
    )
    assert shown(command, 60, monkeypatch) == (
        "Best buy for pass@k 0.4 on 30 new problems with 95% \n"
        "confidence at least cost, on 30 problems\n"
        "model m6   k 4   pass@k 0.6613\n"
        "                         USD/query  USD/solved\n"
        "k samples at once          0.00108     0.00163\n"
        "one by one until solved   0.000671     0.00101\n"
        "chance that nothing cheaper reaches the target: 1%; that its\n"
        "model is the best, whatever the k: 100%\n"
        "chance that new problems meet the target: 99%\n"
        "cheapest on these problems, whatever the confidence: m6, k =\n"
        "2, 0.00054 USD a query; new problems meet the target with \n"
        "88%\n"
        "\n"
        "What nothing cheaper equals, k samples at once:\n"
        "model m6\n"
        " k  pass@k    95% interval  USD/query  USD/solved  best\n"
        " 1  0.3802  0.233 to 0.545    0.00027     0.00071  100%\n"
        " 2  0.5270  0.349 to 0.700    0.00054     0.00102  100%\n"
        " 3  0.6090  0.417 to 0.780    0.00081     0.00133  100%\n"
        " 4  0.6613  0.463 to 0.826    0.00108     0.00163  100%\n"
        " 5  0.6977  0.496 to 0.856    0.00135     0.00193  100%\n"
        " 7  0.7463  0.544 to 0.893    0.00189     0.00253  100%\n"
        " 9  0.7791  0.577 to 0.916    0.00243     0.00312  100%\n"
        "12  0.8139  0.611 to 0.940    0.00324     0.00398  100%\n"
        "17  0.8513  0.643 to 0.964    0.00459     0.00539   99%\n"
        "23  0.8773  0.661 to 0.979    0.00621     0.00708   99%\n"
        "32  0.9000  0.669 to 0.990    0.00864      0.0096   73%\n"
        "! cascade, each until solved: none meets the request and \n"
        "beats one model alone\n"
    )


HOSTILE = ["llama[v2]", "[/INST]", "[bold]x", "red\x1b[31m", "back\u202ewards"]


@pytest.mark.parametrize(
    "command",
    [
        ["passk", "c.csv"],
        ["compare", "c.csv", "--draws", "100"],
        ["choose", "c.csv", "--prices", "p.csv", *SERVED[2:]],
        ["fit", "c.csv", "--law", "direct", "--draws", "0", "--group-by", "task"],
        ["fit", "[c].csv", "--law", "direct", "--draws", "0"],
    ],
)
@pytest.mark.parametrize("terminal", [False, True])
def test_names_are_printed_whole_and_are_no_orders_to_a_terminal(
    command: list[str], terminal: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    rows = [
        (name, 1e8 * (i + 1), 1e9 * (i + 1), f"{p}", 8, (i + p) % 9)
        for i, name in enumerate(HOSTILE)
        for p in range(12)
    ]
    names = ["model", "n_params", "n_tokens", "problem", "n_samples", "n_correct"]
    counts = pl.DataFrame(rows, schema=names, orient="row")
    if "task" in command:
        counts = counts.join(pl.DataFrame({"task": HOSTILE}), how="cross")
    counts.write_csv("c.csv")
    counts.write_csv("[c].csv")
    usd = {f"usd_per_million_{kind}_tokens": [1.0, 2.0, 3.0, 4.0, 5.0] for kind in ("prompt", "output")}
    pl.DataFrame({"model": HOSTILE, **usd}).write_csv("p.csv")
    if terminal:
        text = shown(command, 80, monkeypatch)
    else:
        with monkeypatch.context() as patch:
            patch.setattr(sys, "stdout", io.StringIO())
            assert main(command) == 0
            text = sys.stdout.getvalue()  # type: ignore[attr-defined]
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f\u202e]", text)
    if command[0] != "choose":  # which names the best alone
        for name in ["[c].csv"] if command[1] == "[c].csv" else HOSTILE:
            assert name.replace("\x1b", r"\x1b").replace("\u202e", r"\u202e") in text
    if command[0] == "compare":
        for name in ("[/INST]", "[bold]x", r"red\x1b[31m", r"back\u202ewards"):
            assert f"\n{name}: " in text
