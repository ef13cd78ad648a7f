"""The command line, from files to exit codes."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from t2fast import Law, default_law, pass_at_k, plan, read_counts
from t2fast.cli.main import main

LOSS_LAW = {"E": 1.69, "A": 406.4, "B": 410.7, "alpha": 0.34, "beta": 0.28, "G": 2.0, "gamma": 0.5}


@pytest.fixture
def counts(tmp_path: Path) -> Path:
    """A small simulated table."""
    path = tmp_path / "counts.csv"
    arguments = ["simulate", "--n-params", "2e8,1e9,5e9", "--n-tokens", "4e9,3e10,2e11", "--problems", "40"]
    assert main([*arguments, "--samples", "64", "-o", str(path)]) == 0
    return path


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "t2fast", *arguments], capture_output=True, text=True, timeout=120, check=False
    )


def test_the_tour_from_simulated_counts_to_a_plan(counts, tmp_path, capsys):
    law = tmp_path / "law.json"
    assert main(["passk", str(counts), "-k", "1,8,64", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    table = read_counts(counts).frame
    for row in rows:
        here = table.filter((pl.col("n_params") == row["n_params"]) & (pl.col("n_tokens") == row["n_tokens"]))
        expected = np.mean(pass_at_k(here["n_samples"].to_numpy(), here["n_correct"].to_numpy(), row["k"]))
        assert row["pass_at_k"] == pytest.approx(expected, rel=1e-13)
        assert row["low"] <= row["pass_at_k"] <= row["high"]
        assert row["problems"] == 40
    assert len(rows) == 27

    assert main(["fit", str(counts), "--law", "accuracy", "--draws", "40", "-o", str(law), "--json"]) == 0
    fitted = json.loads(capsys.readouterr().out)
    kept = Law.load(law)
    assert kept.params == fitted["params"]
    assert kept.draws is not None
    # Nine checkpoints, drawn anew, cannot hold eight parameters every time: such draws are left out and
    # counted.
    stuck = [int(note.split()[0]) for note in fitted["fit"]["notes"] if "did not converge" in note]
    assert kept.draws.shape == (40 - sum(stuck), 10)
    assert len(kept.draws) >= 20

    budgets = ["--train-flops", "2.56e19", "--inference-flops", "2e9"]
    assert main(["plan", "--law", str(law), *budgets, "--json"]) == 0
    out = json.loads(capsys.readouterr().out)
    chosen = plan(kept, 2.56e19, 2e9)
    for key in ("n_params", "n_tokens", "k", "tokens_per_param", "predicted"):
        assert out[key] == getattr(chosen, key)
        assert out["chinchilla"][key] == getattr(chosen.chinchilla, key)


def test_plan_without_data_uses_the_embedded_law_and_says_how_far_outside_it_is(capsys):
    assert main(["plan", "--train-flops", "2.56e19", "--inference-flops", "2e9"]) == 0
    out = capsys.readouterr().out
    assert "Pythia on GSM8K" in out
    assert "outside" not in out
    assert main(["plan", "--train-flops", "1e22", "--inference-flops", "2e9", "--json"]) == 0
    warnings = json.loads(capsys.readouterr().out)["warnings"]
    words = "2x beyond the most it was fitted on (300B)"
    assert any(w.startswith("held to D = 600B") and words in w for w in warnings)


def test_plan_of_a_given_law_agrees_with_the_independent_numbers(tmp_path, capsys):
    path = tmp_path / "law.json"
    Law("loss", LOSS_LAW).save(path)
    arguments = ["plan", "--law", str(path), "--train-flops", "2.56e19", "--inference-flops", "2e9", "--json"]
    assert main(arguments) == 0
    out = json.loads(capsys.readouterr().out)
    assert out["n_params"] == pytest.approx(51941296.776, rel=1e-9)
    assert out["k"] == pytest.approx(19.252503539, rel=1e-9)
    assert out["predicted"] == pytest.approx(3.47432289269, rel=1e-11)
    assert out["chinchilla"]["n_params"] == pytest.approx(3.48512e8, rel=1e-5)


@pytest.mark.parametrize("extra", [["--frontier"], ["--profile"], ["--integer-k"], ["--sizes", "1e8,4e8"]])
def test_every_form_of_plan_prints_a_table_and_valid_json(extra, capsys):
    budgets = ["plan", "--train-flops", "1e20", "--inference-flops", "2e10", *extra]
    assert main(budgets) == 0
    assert len(capsys.readouterr().out.splitlines()) > 5
    assert main([*budgets, "--json"]) == 0
    json.loads(capsys.readouterr().out)


def test_the_frontier_marks_what_the_law_never_saw_and_ends_where_budget_buys_nothing(capsys):
    assert main(["plan", "--train-flops", "1e19", "--inference-flops", "1.4e11", "--frontier"]) == 0
    out = capsys.readouterr().out
    assert "* outside the law's data" in out
    assert "brings less than 1% more pass@k" in out
    assert "1.00e+25" not in out


def test_data_goes_to_stdout_and_the_rest_to_stderr(counts, tmp_path):
    done = run("simulate", "--n-params", "1e9", "--n-tokens", "1e10", "--problems", "3", "--samples", "5")
    assert done.returncode == 0
    assert done.stderr == ""
    assert pl.read_csv(done.stdout.encode()).height == 3
    done = run(
        "fit", str(counts), "--law", "loss", "--draws", "40", "-o", str(tmp_path / "law.json"), "--json"
    )
    assert done.returncode == 0
    assert "kept in" in done.stderr
    json.loads(done.stdout)


def test_the_same_seed_draws_the_same_table(capsys):
    texts = []
    for seed in ("3", "3", "4"):
        main(["simulate", "--n-params", "1e9", "--n-tokens", "1e10", "--seed", seed])
        texts.append(capsys.readouterr().out)
    assert texts[0] == texts[1] != texts[2]


def test_unusable_data_is_exit_code_1_and_names_the_row(tmp_path, capsys):
    path = tmp_path / "bad.csv"
    path.write_text("problem,n_samples,n_correct\na,10,3\nb,10,11\n")
    assert main(["passk", str(path)]) == 1
    streams = capsys.readouterr()
    assert streams.out == ""
    assert "row 2" in streams.err
    assert "n_correct" in streams.err
    assert "11" in streams.err
    assert main(["passk", str(tmp_path / "none.csv")]) == 1
    assert "none.csv" in capsys.readouterr().err
    assert main(["plan", "--law", str(path), "--train-flops", "1e20", "--inference-flops", "1e10"]) == 1
    assert "not a law" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["plan", "--inference-flops", "1e9"],
        ["passk", "x.csv", "-k", "one"],
        ["fit", "x.csv", "--law", "none"],
        ["fit", "x.csv", "--law", "loss", "--columns", "problem"],
    ],
)
def test_a_wrong_command_line_is_exit_code_2(arguments, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    assert "--help" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["passk", "fit", "plan", "simulate"])
def test_help_has_examples(command, capsys):
    with pytest.raises(SystemExit) as stopped:
        main([command, "--help"])
    assert stopped.value.code == 0
    assert f"  t2fast {command} " in capsys.readouterr().out


def test_a_reader_that_leaves_early_is_no_error():
    command = f"{sys.executable} -m t2fast simulate | head -1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.startswith("model,n_params")
    assert "Traceback" not in done.stderr


def test_ctrl_c_is_exit_code_130(tmp_path):
    path = tmp_path / "counts.csv"
    main(["simulate", "--problems", "200", "-o", str(path)])
    # Before the imports are over Ctrl-C is Python's own business, and they can take seconds.
    script = "import sys; from t2fast.cli.main import main; print('ready', flush=True); sys.exit(main())"
    command = [sys.executable, "-c", script, "fit", str(path), "--law", "counts", "--draws", "20000"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n"
    time.sleep(1.5)
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=10)
    assert process.returncode == 130
    assert "interrupted" in errors
    assert "Traceback" not in errors


def test_the_embedded_law_carries_its_evidence():
    law = default_law()
    assert law.name == "accuracy"
    assert law.draws is not None
    assert len(law.draws) >= 200
    assert law.domain == {"n_params": (1.6e8, 1.2e10), "n_tokens": (2e9, 3e11), "k": (1.0, 128.0)}
    assert law.fit is not None
    assert law.fit.lack_of_fit is not None
    assert any("forecasts the 16 above" in note for note in law.fit.notes)
    assert "Schaeffer" in law.source


def test_results_print_as_something_to_read():
    law = default_law()
    text = str(law)
    for part in ("accuracy law", "theta0", "90% interval", "fitted on N 160M to 12B", "sampling error"):
        assert part in text
    text = str(plan(law, 2.56e19, 2e9))
    for part in ("parameters N", "Chinchilla", "tokens per parameter", "predicted pass@k"):
        assert part in text


def test_what_memory_does_not_hold_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "losses.csv"
    rows = (f"{n}e8,{d}e9,{3 + 1 / n + 1 / d}" for n in (1, 2, 4) for d in (1, 2, 4))
    path.write_text("n_params,n_tokens,loss\n" + "\n".join(rows) + "\n")
    assert main(["fit", str(path), "--law", "chinchilla", "--draws", "100000000000000"]) == 1
    said = capsys.readouterr().err
    assert said.startswith("t2fast fit: this does not fit into memory: ")
    assert said.count("\n") == 1
