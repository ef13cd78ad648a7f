"""`t2fast validate`: tables of every kind, the verdict first, and its figures kept with the law."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from t2fast import Law, read_counts, validate
from t2fast.cli.main import main

CHINCHILLA = (1.7, 400.0, 410.0, 0.34, 0.28)


@pytest.fixture(scope="module")
def counts(tmp_path_factory):
    path = tmp_path_factory.mktemp("validate") / "counts.csv"
    sizes, tokens = "2e8,4e8,1e9,3e9,8e9", "4e9,9e9,3e10,1e11"
    arguments = ["simulate", "--n-params", sizes, "--n-tokens", tokens, "--problems", "40"]
    assert main([*arguments, "--samples", "64", "-o", str(path)]) == 0
    return path


def grid(path, **columns):
    n, d = (a.ravel() for a in np.meshgrid(1e7 * 3.0 ** np.arange(5), 1e9 * 2.3 ** np.arange(5)))
    e, a, b, alpha, beta = CHINCHILLA
    loss = e + a / n**alpha + b / d**beta
    values = {name: of(loss) for name, of in columns.items()}
    pl.DataFrame({"n_params": n, "n_tokens": d, **values}).write_csv(path)
    return str(path)


def test_the_verdict_comes_first_and_is_kept_with_the_law_and_every_plan(counts, tmp_path, capsys):
    law, plot = tmp_path / "law.json", tmp_path / "errors.png"
    how = ["--methods", "accuracy,log-linear", "--splits", "4", "--draws", "40"]
    assert main(["validate", str(counts), *how, "-o", str(law), "--plot", str(plot)]) == 0
    shown = capsys.readouterr()
    expected = validate(
        read_counts(counts), methods=["accuracy", "log-linear"], splits=4, draws=40, progress=False
    )
    first = shown.out.splitlines()[0]
    assert expected.verdict.capitalize().startswith(first.capitalize()[:60])
    assert "law kept in" in shown.err
    assert plot.stat().st_size > 10_000

    kept = Law.load(law)
    assert kept.validation == expected.of("accuracy")
    assert (
        main(["plan", "--law", str(law), "--train-flops", "1e20", "--inference-flops", "2e9", "--json"]) == 0
    )
    warnings = json.loads(capsys.readouterr().out)["warnings"]
    assert any(kept.validation.caution() in words for words in warnings)


def test_json_has_the_figures(counts, capsys):
    how = ["--methods", "log-linear", "--by", "ratio", "--splits", "3", "--max-params", "4e9", "--json"]
    assert main(["validate", str(counts), *how]) == 0
    data = json.loads(capsys.readouterr().out)
    table = read_counts(counts).filter(max_params=4e9)
    expected = validate(table, by="ratio", splits=3, methods=["log-linear"], progress=False).to_dict()
    assert {key: data[key] for key in ("verdict", "methods", "splits")} == {
        key: expected[key] for key in ("verdict", "methods", "splits")
    }
    assert data["left_out"] == [{"rows": 160, "reason": "n_params above 4e+09"}]


def test_losses_and_accuracies_are_told_from_their_columns(tmp_path, capsys):
    losses = grid(tmp_path / "losses.csv", loss=lambda loss: loss)
    assert (
        main(["validate", losses, "--methods", "chinchilla", "--splits", "3", "--draws", "0", "--json"]) == 0
    )
    assert json.loads(capsys.readouterr().out)["quantity"] == "loss"
    accuracies = grid(tmp_path / "accuracies.csv", accuracy=lambda loss: 0.25 + 0.75 * np.exp(-loss))
    assert main(["validate", accuracies, "--chance", "0.25", "--splits", "3", "--draws", "0"]) == 0
    assert "relative error of accuracy" in capsys.readouterr().out
    assert main(["validate", losses, "--chance", "0.25"]) == 1
    assert "--chance goes with accuracies" in capsys.readouterr().err


def test_what_cannot_be_validated_says_why(counts, tmp_path, capsys):
    assert main(["validate", str(counts), "--methods", "chinchilla"]) == 1
    assert "does not forecast pass@k" in capsys.readouterr().err
    assert main(["validate", str(counts), "--max-params", "3e8"]) == 1
    assert "too few different ones to hold any out by compute" in capsys.readouterr().err
    kept = str(tmp_path / "law.json")
    assert main(["validate", str(counts), "--methods", "log-linear", "--splits", "2", "-o", kept]) == 1
    assert "log-linear is no law to keep: name one by --methods" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["validate", "fit"])
def test_draws_too_few_are_refused_by_the_name_of_the_option(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "losses.csv").write_text("n_params,n_tokens,loss\n1e8,1e9,3.2\n")
    assert main([command, str(tmp_path / "losses.csv"), "--draws", "10"]) == 1
    said = "--draws 10 must be 0, or at least 40: fewer say nothing about 90% intervals"
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("law", "column", "said"),
    [
        (
            "chinchilla",
            "accuracy",
            "chinchilla law is fitted to losses: for accuracies there is the forecast",
        ),
        (
            "counts",
            "accuracy",
            "the counts law is fitted to counts: for accuracies there is the forecast law (",
        ),
        ("accuracy", "loss", "losses there is the forecast law and the chinchilla law (--law)"),
    ],
)
def test_a_law_that_a_table_cannot_have_is_answered_by_those_it_can(
    law: str, column: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "table.csv").write_text(f"n_params,n_tokens,{column}\n1e8,1e9,0.2\n")
    assert main(["fit", str(tmp_path / "table.csv"), "--law", law]) == 1
    assert said in capsys.readouterr().err


def test_priors_without_the_method_that_takes_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "losses.csv").write_text("n_params,n_tokens,loss\n1e8,1e9,3.2\n")
    assert main(["fit", str(tmp_path / "losses.csv"), "--law", "chinchilla", "--regularise"]) == 1
    said = "Huber's loss has none: give --method least_squares, too, or leave it out"
    assert said in capsys.readouterr().err
