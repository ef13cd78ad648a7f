"""Several tasks, training sets or datasets are never pooled, however their column is spelt."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import t2fast
from t2fast.cli.main import main
from t2fast.cli.wording import own_words

SPELT = [
    *("train_set", "Train Set", "trainset", "training_set", "train-dataset", "Training Data"),
    *("pretrain_data", "pretraining_corpus", "corpus", "data_mix", "dataset", "Dataset", "dataset_name"),
    *("data set", "DATA"),
    *("task", "Task", "benchmark", "task name", "eval_dataset"),
]  # fmt: skip


def losses(column: str, steps: int = 3) -> pl.DataFrame:
    """Chinchilla's law with E = 3 on c4 and 2 on web."""
    sizes = [(2**n * 1e8, 2**d * 1e9) for n in range(steps) for d in range(steps)]
    rows = [(s, n, d, e + 1e8 / n + 1e9 / d) for s, e in (("c4", 3), ("web", 2)) for n, d in sizes]
    return pl.DataFrame(rows, schema=[column, "n_params", "n_tokens", "loss"], orient="row")


@pytest.mark.parametrize("column", SPELT)
def test_no_law_is_fitted_to_several_however_their_column_is_spelt(column: str) -> None:
    table = t2fast.read_losses(losses(column))
    for take in (t2fast.fit_chinchilla, t2fast.fit_forecast, t2fast.validate):
        with pytest.raises(ValueError, match=r"has 2 .*, which no law has in common: 'c4', 'web'"):
            take(table)
    canonical = next(name for name in ("train_set", "dataset", "task") if name in table.frame.columns)
    for name in (canonical, column):
        alone = t2fast.read_losses(losses(column), where={name: "web"})
        assert len(alone) == 9
        assert alone.loss.max() < 4.01
    assert [len(part) for part in table.groups(canonical).values()] == [9, 9]


@pytest.mark.parametrize("column", SPELT)
def test_no_mean_is_over_several(column: str) -> None:
    frame = pl.DataFrame({column: ["a", "b"], "problem": [1, 1], "n_samples": [4, 4], "n_correct": [0, 4]})
    found = t2fast.estimate(t2fast.read_counts(frame), k=1)
    assert sorted(found.frame["pass_at_k"].to_list()) == [0.0, 1.0]
    p = frame.select(column, "problem", p=pl.Series([0.25, 1.0]))
    known = t2fast.estimate(t2fast.read_likelihoods(p), k=1).frame["pass_at_k"]
    assert sorted(known) == pytest.approx([0.25, 1.0])
    frame = frame.with_columns(n_params=1e8, n_tokens=1e9)
    for fit in (t2fast.fit_counts, t2fast.fit_accuracy, t2fast.fit_loss, t2fast.fit_direct):
        with pytest.raises(ValueError, match="which no law has in common: 'a', 'b'"):
            fit(t2fast.read_counts(frame))


def test_a_column_that_the_caller_gives_to_one_field_is_no_other() -> None:
    frame = losses("dataset")
    table = t2fast.read_losses(frame, columns={"task": "dataset"})
    assert "dataset" not in table.frame.columns
    assert set(table.frame["task"]) == {"c4", "web"}


def test_losses_of_several_sets_are_not_averaged_for_a_two_stage_fit() -> None:
    sizes = [1e8, 2e8, 4e8], [1e9, 2e9, 4e9]
    counts = t2fast.simulate_counts(t2fast.default_law(), *sizes, problems=20, samples=8)
    with pytest.raises(ValueError, match="has 2 datasets, which no law has in common"):
        t2fast.fit_accuracy(counts, t2fast.read_losses(losses("dataset")), draws=0)


def test_a_report_shows_each_set_by_itself() -> None:
    html = t2fast.report(t2fast.read_losses(losses("dataset"))).html()
    cells = re.findall(r"<td[^>]*>([^<]*)</td>", html)
    assert sum("c4" in cell for cell in cells) == sum("web" in cell for cell in cells) == 9
    assert {"5", "4"} <= set(cells)  # the losses of N = 1e8, D = 1e9


def test_a_model_that_was_trained_several_ways_is_no_choice() -> None:
    counts = t2fast.read_counts(
        {
            "model": ["m"] * 4 + ["o"] * 2,
            "train_set": ["c4", "c4", "web", "web", "c4", "c4"],
            "problem": [1, 2] * 3,
            "n_samples": [8] * 6,
            "n_correct": [1, 2, 3, 4, 5, 6],
        }
    )
    usd = {"usd_per_million_prompt_tokens": [1.0, 1.0], "usd_per_million_output_tokens": [1.0, 1.0]}
    prices = t2fast.read_prices({"model": ["m", "o"], **usd})
    with pytest.raises(ValueError, match=r"several rows of m for problem '1': choose one checkpoint.*where="):
        t2fast.choose(counts, prices, per_query=1.0, prompt_tokens=10, output_tokens=10)


@pytest.mark.parametrize("command", [["fit", "--law", "chinchilla"], ["fit"], ["validate"]])
def test_the_way_out_that_a_command_names_is_one(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "losses.csv"
    losses("Dataset", 4).write_csv(path)
    line = [*command, str(path), "--draws", "0", "--json"]
    if command == ["validate"]:
        line += ["--methods", "chinchilla", "--splits", "1"]
    assert main(line) == 1
    said = capsys.readouterr().err
    assert "groups" not in said
    assert "{" not in said
    for option in (r"--where \S+(?=,)", r"--group-by \w+"):
        found = re.search(option, said)
        assert found is not None, said
        assert main([*line, *shlex.split(found[0])]) == 0
        shown = json.loads(capsys.readouterr().out)
        assert ("groups" in shown) == option.startswith("--group-by")


def test_a_law_for_each_group_is_the_law_of_that_group(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, out = tmp_path / "losses.csv", str(tmp_path / "law-{}.json")
    losses("dataset").with_columns(pl.col("dataset").replace("web", "web/en")).write_csv(path)
    fit = ["fit", str(path), "--law", "chinchilla", "--draws", "0"]
    assert main([*fit, "--group-by", "dataset", "-o", out]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert [line for line in shown if line.startswith("dataset ")] == ["dataset c4", "dataset web/en"]
    for value, name, e in (("c4", "c4", 3.0), ("web/en", "web-en", 2.0)):
        law = t2fast.Law.load(tmp_path / f"law-{name}.json")
        assert law.params["E"] == pytest.approx(e, abs=1e-3)
        assert law.source.endswith(f"losses.csv, dataset {value}")
        alone = t2fast.fit_chinchilla(t2fast.read_losses(path, where={"dataset": value}), draws=0)
        np.testing.assert_array_equal(law.vector, alone.vector)
    assert main([*fit, "--group-by", "dataset", "-o", str(tmp_path / "law.json")]) == 1
    assert "put {} into" in capsys.readouterr().err
    assert main([*fit, "--group-by", "task"]) == 1
    assert "has no column 'task' to group by" in capsys.readouterr().err


def test_accuracies_of_several_tasks_are_fitted_by_groups(tmp_path: Path) -> None:
    path = tmp_path / "accuracies.csv"
    n, d = np.repeat([1e8, 2e8, 4e8], 3), np.tile([1e9, 2e9, 4e9], 3)
    parts = [
        pl.DataFrame({"task": [task] * 9, "n_params": n, "n_tokens": d, "chance": [chance] * 9}).with_columns(
            accuracy=chance + (1 - chance) * (1 - (1e8 / n) ** 0.2 * 0.8)
        )
        for task, chance in (("four", 0.25), ("open", 0.0))
    ]
    pl.concat(parts).write_csv(path)
    assert (
        main(["fit", str(path), "--draws", "0", "--group-by", "task", "-o", str(tmp_path / "{}.json")]) == 0
    )
    chances = [t2fast.Law.load(tmp_path / f"{name}.json").chance for name in ("four", "open")]  # type: ignore[union-attr]
    assert chances == [0.25, 0.0]
    with pytest.raises(ValueError, match="2 tasks, which no law"):
        _ = t2fast.read_accuracies(path).chance


def test_a_command_without_groups_names_none() -> None:
    said = "Choose one by where={'task': 'a'}, take each by itself by groups('task'), or leave"
    assert own_words(said) == "Choose one by --where task=a, or leave"
    assert own_words(said, groups=True) == (
        "Choose one by --where task=a, take each by itself by --group-by task, or leave"
    )
