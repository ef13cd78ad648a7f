"""Figures show the numbers of what they are of, and become files of every kind."""

from __future__ import annotations

import sys
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import t2fast
from t2fast import charts
from t2fast.cli.main import main
from t2fast.reports.measured import classes
from t2fast.reports.page import Grid, Prose

PARAMS = {"E": 1.69, "A": 406.4, "B": 410.7, "G": 2, "alpha": 0.34, "beta": 0.28, "gamma": 0.5}
LAW = t2fast.Law("loss", PARAMS)


def drawn(chart: Any) -> list[list[dict[str, Any]]]:
    """The rows of every data set of a chart, in the order of its layers; the chart must be valid."""
    spec = chart.to_dict()
    names = [layer.get("data", spec.get("data"))["name"] for layer in spec["layer"]]
    return [spec["datasets"][name] for name in dict.fromkeys(names)]


def axis(chart: Any, channel: str) -> dict[str, Any]:
    """What the first layer of a chart has along a channel."""
    found: dict[str, Any] = chart.to_dict()["layer"][0]["encoding"][channel]
    return found


def test_profile_marks_the_plan_and_chinchilla() -> None:
    found = t2fast.plan(LAW, 2.56e19, 2e9)
    chart = found.plot()
    curve, marks = drawn(chart)
    assert min(row["predicted"] for row in curve) == pytest.approx(found.predicted, rel=1e-3)
    for row, choice in zip(marks, (found, found.chinchilla), strict=True):
        assert (row["n_params"], row["predicted"]) == (choice.n_params, choice.predicted)
    assert axis(chart, "x")["scale"]["type"] == "log"
    assert axis(chart, "y")["title"] == "-log pass@k (nats)"


def drawn_law(name: str = "accuracy") -> t2fast.Law:
    """A law with draws of its parameters."""
    if name == "accuracy":
        law = t2fast.default_law()
        assert law.draws is not None
        return replace(law, draws=law.draws[:60])
    draws = LAW.vector * np.exp(0.01 * np.random.default_rng(0).normal(size=(60, LAW.vector.size)))
    return replace(LAW, draws=draws)


@pytest.mark.parametrize("name", ["accuracy", "loss"])
def test_the_band_of_a_profile_is_the_interval_that_the_table_prints(name: str) -> None:
    """At the plan's N, which is among the sizes that are drawn; the bar through it is that of N."""
    found = t2fast.plan(drawn_law(name), 2.56e19, 2e9, n_params=[1.6e8, 2e8, 3e8, 4e8, 6e8])
    chart = found.plot()
    curve, marks = drawn(chart)
    assert len(curve) == 5
    here = next(row for row in curve if row["n_params"] == found.n_params)
    assert (here["low"], here["high"]) == pytest.approx(found.intervals["predicted_here"], rel=1e-12)
    assert (marks[0]["low"], marks[0]["high"]) == found.intervals["predicted_here"]
    assert (marks[0]["least"], marks[0]["most"]) == found.intervals["n_params"]
    assert all(row["low"] < row["predicted"] < row["high"] for row in curve)
    kinds = [layer["mark"]["type"] for layer in chart.to_dict()["layer"]]
    assert kinds == ["area", "line", "rule", "point"]
    words = found.figure()
    assert f"({here['low']:.4g} to {here['high']:.4g})" in words.says
    assert "90% interval" in words.caption


@pytest.mark.parametrize("unique", [None, 1e9])
def test_a_plan_under_one_budget_is_drawn_with_its_band(unique: float | None) -> None:
    work = t2fast.Workload(1e8, 150, 150)
    sizes = [1.6e8, 3.2e8, 6.4e8]
    found = t2fast.plan_spending(drawn_law(), work, budget=1e20, n_params=sizes, unique_tokens=unique)
    curve, marks = drawn(found.plot())
    here = next(row for row in curve if row["n_params"] == found.chosen.n_params)
    assert (here["low"], here["high"]) == pytest.approx(found.chosen.intervals["predicted_here"], rel=1e-9)
    assert (marks[0]["least"], marks[0]["most"]) == found.chosen.intervals["n_params"]


def test_a_plan_with_a_check_that_errs_is_drawn_with_its_bands() -> None:
    found = t2fast.plan_checked(drawn_law(), t2fast.Verifier(0.9, 0.01), 2.56e19, 2e9)
    figure = found.figure()
    row = figure.frame.row(by_predicate=pl.col("k") == found.chosen.k, named=True)
    for side in ("right", "wrong", "worth"):
        assert (row[f"{side}_low"], row[f"{side}_high"]) == pytest.approx(
            found.chosen.intervals[f"{side}_here"], rel=1e-12
        )
    rows, _ = drawn(figure.chart)
    assert {row["answers"] for row in rows if row["low"] is not None} == {
        "right answers",
        "wrong answers",
        "right less wrong",
    }


def test_frontier_draws_both_and_the_bands_and_where_data_end() -> None:
    draws = LAW.vector * np.exp(0.02 * np.random.default_rng(0).normal(size=(20, 7)))
    law = t2fast.Law(LAW.name, LAW.params, draws, {"n_params": (1e8, 1e10), "n_tokens": (1e9, 1e12)})
    frame = t2fast.frontier(law, np.geomspace(1e19, 1e22, 9), 1.4e11)
    figure = charts.frontier(frame, law.domain)
    value, size, _, _ = figure.panels
    (rows,) = drawn(value)
    for choice, prefix in (("plan", ""), ("Chinchilla", "chinchilla_")):
        mine = [row for row in rows if row["choice"] == choice]
        for name, column in (("value", "predicted"), ("low", "predicted_low"), ("high", "predicted_high")):
            assert [row[name] for row in mine] == frame[prefix + column].to_list()
    ends, _ = drawn(size)
    assert [row["end"] for row in ends] == [1e8, 1e10]
    assert figure.chart.to_dict()
    assert figure.frame is frame
    with pytest.raises(ValueError, match="no column 'metric'"):
        charts.frontier(frame.drop("metric"))


def test_a_fit_is_drawn_against_its_measurements_with_its_intervals() -> None:
    n, d = (a.ravel() for a in np.meshgrid(1e7 * 3.0 ** np.arange(5), 1e9 * 3.0 ** np.arange(4)))
    losses = t2fast.read_losses({"n_params": n, "n_tokens": d, "loss": 1.7 + 400 / n**0.34 + 410 / d**0.28})
    law = t2fast.fit_chinchilla(losses, draws=50, progress=False)
    _, rows = drawn(law.plot())
    assert sorted(row["observed"] for row in rows) == sorted(losses.loss)
    low, high = law.interval(n, d)
    assert sorted(row["low"] for row in rows) == pytest.approx(sorted(low))
    assert sorted(row["high"] for row in rows) == pytest.approx(sorted(high))


def test_a_comparison_is_drawn_with_its_band() -> None:
    rows = [(m, f"q{i}", 16, c) for m, c in (("a", 3), ("b", 6)) for i in range(20)]
    frame = pl.DataFrame(rows, ["model", "problem", "n_samples", "n_correct"], orient="row")
    sides = {name: t2fast.read_counts(frame.filter(model=name)) for name in ("a", "b")}
    found = t2fast.compare(sides, ks=[1, 4, 16])
    _, rows_drawn = drawn(found.plot())
    assert [row["difference"] for row in rows_drawn] == found.difference[:, 1].tolist()
    assert [row["high"] for row in rows_drawn] == found.high[:, 1].tolist()
    section = found.report().sections[0]
    assert section.title == "How they compare"
    assert Prose(f"{found.words(1)}.") in section.blocks


def compared(sides: int, ks: list[int]) -> t2fast.Comparison:
    """Models that solve more of the same problems the later their letter comes, and the first much."""
    right = [6, *(8 * i // (sides - 1) for i in range(1, sides))]
    rows = [(f"m{m}", f"q{i}", 16, (right[m] + i) % 16) for m in range(sides) for i in range(20)]
    frame = pl.DataFrame(rows, ["model", "problem", "n_samples", "n_correct"], orient="row")
    return t2fast.compare(
        {f"m{m}": t2fast.read_counts(frame.filter(model=f"m{m}")) for m in range(sides)}, ks
    )


def test_many_sides_have_a_row_each_sorted_at_the_least_and_the_greatest_k() -> None:
    found = compared(12, [1, 4, 16])
    figure = found.figure()
    assert len(figure.panels) == 2
    for panel, place, k in zip(figure.panels, (0, 2), (1, 16), strict=True):
        _, rows = drawn(panel)
        order = np.argsort(-found.difference[place, 1:], kind="stable") + 1
        assert [row["name"] for row in rows] == [found.names[side] for side in order]
        assert [row["low"] for row in rows] == found.low[place, order].tolist()
        assert {row["k"] for row in rows} == {k}
        signs = {1: "above", 0: "not settled", -1: "below"}
        assert [row["sign"] for row in rows] == [signs[found.settled(side)[place]] for side in order]
        spec = panel.to_dict()
        assert spec["title"]["text"] == f"k = {k}"
        assert spec["layer"][1]["encoding"]["y"]["sort"] == [row["name"] for row in rows]
    assert "of 11 sides" in figure.says
    section = found.report().sections[0]
    words = [block for block in section.blocks if isinstance(block, Prose)]
    assert words == [Prose("Bands and chances are from 4,000 draws of the problems, seed 0.")]
    cells = [
        cell for block in section.blocks if isinstance(block, Grid) for row in block.rows for cell in row
    ]
    assert found.finding(3) in cells


def test_only_sides_that_are_not_settled_are_hollow(tmp_path: Path) -> None:
    """As rendered: an opacity may be taken for a scale with ends, and what is between them for half."""
    rows = [(f"m{i}", 1, i / 10, i / 10 - 0.25, i / 10 + 0.25) for i in range(-5, 6)]
    frame = pl.DataFrame(rows, ["name", "k", "difference", "low", "high"], orient="row")
    charts.differences(frame, "m", 0.95).save(tmp_path / "many.svg")
    dots = [
        float(element.get("fill-opacity", "1"))
        for element in ET.parse(tmp_path / "many.svg").getroot().iter()
        if element.get("aria-roledescription") == "point"
    ]
    assert dots == [1, 1, 1, 0, 0, 0, 0, 0, 1, 1, 1]


def test_a_comparison_at_one_k_has_marks() -> None:
    (panel,) = compared(3, [4]).figure().panels
    _, rows = drawn(panel)
    assert len(rows) == 2


def test_long_names_keep_both_their_ends(tmp_path: Path) -> None:
    names = [f"some-organisation/a-model-of-a-very-long-name-indeed-{i}b-instruct" for i in range(5)]
    rows = [(name, f"q{i}", 4, i % 5) for name in names for i in range(5)]
    frame = pl.DataFrame(rows, ["model", "problem", "n_samples", "n_correct"], orient="row")
    charts.difficulties(classes(t2fast.read_counts(frame))).save(tmp_path / "hard.svg")
    words = [
        element.text or "" for element in ET.parse(tmp_path / "hard.svg").getroot().iter() if element.text
    ]
    for i in range(5):
        (label,) = [word for word in words if word.endswith(f"{i}b-instruct")]
        assert label.startswith("some-organisation")
        assert "…" in label


def test_many_curves_that_only_names_tell_apart_have_no_legend() -> None:
    """It had some of the names, beyond the edge of the picture."""
    rows = [(f"m{m}", k, 0.1 + m / 100, 0.1, 0.9) for m in range(30) for k in (1, 2, 4)] + [
        ("m3", 5, 0.5, 0.1, 0.9)
    ]
    frame = pl.DataFrame(rows, ["checkpoint", "k", "pass_at_k", "low", "high"], orient="row")
    figure = charts.pass_curves(frame, 0.9)
    assert all("value" in layer["encoding"]["color"] for layer in figure.chart.to_dict()["layer"])
    assert "At k = 4 it is 0.39 of m29 down to 0.1 of m0" in figure.says


def test_the_axis_of_a_profile_is_that_of_its_curve_and_titles_are_wrapped() -> None:
    found = t2fast.plan(drawn_law(), 2.56e19, 2e9)
    chart = found.plot()
    curve, marks = drawn(chart)
    low, high = axis(chart, "y")["scale"]["domain"]
    assert min(row["low"] for row in curve) < low <= min(row["predicted"] for row in curve)
    assert high >= max(mark["high"] for mark in marks)
    work = t2fast.plan_checked(drawn_law(), t2fast.Verifier(0.9, 0.01), 2.56e19, 2e9)
    lines = work.plot().to_dict()["title"]["text"]
    assert " ".join(lines) == work.title
    assert max(map(len, lines)) <= 76


def test_a_curve_is_drawn_as_it_was_estimated() -> None:
    curve = t2fast.estimate([8, 8, 8], [0, 3, 8], [1, 2, 4, 8])
    (rows,) = drawn(curve.plot())
    for name, values in (("k", curve.k), ("pass_at_k", curve.mean), ("low", curve.low), ("high", curve.high)):
        assert [row[name] for row in rows] == values.tolist()


def test_files_of_every_kind(tmp_path: Path, capsys: Any) -> None:
    budgets = ["--train-flops", "1e20", "--inference-flops", "2e9"]
    for name in ("plan.svg", "plan.png", "plan.pdf", "plan.html"):
        assert main(["plan", *budgets, "--plot", str(tmp_path / name)]) == 0
    assert main(["plan", *budgets, "--frontier", "--plot", str(tmp_path / "frontier.svg")]) == 0
    capsys.readouterr()
    words = "".join(ET.parse(tmp_path / "plan.svg").getroot().itertext())
    for said in ("Training 1e+20 FLOPs", "parameters N", "pass@k", "Chinchilla"):
        assert said in words
    assert "training tokens D" in "".join(ET.parse(tmp_path / "frontier.svg").getroot().itertext())
    assert (tmp_path / "plan.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "plan.pdf").read_bytes().startswith(b"%PDF")
    page = (tmp_path / "plan.html").read_text(encoding="utf-8")
    assert "Content-Security-Policy" in page
    assert "the law: on a bound" in page
    with pytest.raises(SystemExit) as ended:
        main(["plan", *budgets, "--plot", str(tmp_path / "plan.gif")])
    assert ended.value.code == 2
    assert "must end in .svg, .png, .pdf or .html" in capsys.readouterr().err


def test_every_command_that_draws(tmp_path: Path, capsys: Any) -> None:
    table, law = str(tmp_path / "counts.csv"), str(tmp_path / "law.json")
    sizes = ["--n-params", "2e8,1e9,5e9", "--n-tokens", "4e9,3e10,2e11"]
    assert main(["simulate", *sizes, "--problems", "40", "--samples", "32", "-o", table]) == 0
    for number, line in enumerate(
        (
            ["passk", table, "-k", "1,4,16"],
            ["passk", table, "-k", "1,64", "--missing", "extrapolate", "--max-params", "3e8"],
            ["compare", table, "-k", "1,8", "--max-params", "3e8"],
            ["fit", table, "--law", "accuracy", "--draws", "0", "-o", law],
        )
    ):
        path = tmp_path / f"{number}.svg"
        assert main([*line, "--plot", str(path)]) == 0
        assert ET.parse(path).getroot().tag.endswith("svg")
    capsys.readouterr()


def test_without_the_library_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "altair", None)
    with pytest.raises(ImportError, match=r"pip install 't2fast\[report\]'"):
        t2fast.plan(LAW, 2.56e19, 2e9).plot()


def test_of_many_curves_the_highest_and_the_lowest_have_bands_in_a_picture(tmp_path: Path) -> None:
    """A picture has no list to pick from, and the page no band before something is picked."""
    rows = [(f"m{m}", k, 0.1 + m / 100, 0.05 + m / 100, 0.2 + m / 100) for m in range(30) for k in (1, 2, 4)]
    frame = pl.DataFrame(rows, ["checkpoint", "k", "pass_at_k", "low", "high"], orient="row")
    figure = charts.pass_curves(frame, 0.9)
    figure.save(tmp_path / "curves.svg")
    bands = [
        element
        for element in ET.parse(tmp_path / "curves.svg").getroot().iter()
        if element.get("aria-roledescription") == "area mark" and element.get("opacity") != "0"
    ]
    assert len(bands) == 2
    assert {
        word for band in bands for word in ("m0", "m29") if f"checkpoint: {word}" in str(band.attrib)
    } == {
        "m0",
        "m29",
    }
    assert "Only the highest and the lowest curve have theirs here" in figure.caption


def test_a_budget_that_a_single_size_spends_has_no_entry_among_the_curves() -> None:
    rows = [(1e20, n, False) for n in (1e8, 2e8)] + [
        (1e20, 1.5e8, True),
        (1e22, 1e9, False),
        (1e22, 1e9, True),
    ]
    frame = pl.DataFrame(rows, ["train_flops", "n_params", "best"], orient="row").with_columns(
        n_tokens=pl.col("train_flops") / 6 / pl.col("n_params"), k=pl.lit(1.0), predicted=pl.lit(0.5)
    )
    figure = charts.profiles(frame, "pass@k", "Profiles")
    spec = figure.chart.to_dict()
    assert spec["layer"][0]["encoding"]["color"]["legend"]["values"] == [1e20]
    assert figure.caption.endswith("1 budget without a curve: within reach no two sizes spend so much.")
    assert {row["train_flops"] for row in drawn(figure.chart)[1]} == {1e20, 1e22}
    whole = charts.profiles(frame.filter(train_flops=1e20), "pass@k", "Profiles")
    assert "without a curve" not in whole.caption
    charts.profiles(frame.filter(train_flops=1e22), "pass@k", "Profiles").chart.to_dict()


@pytest.mark.parametrize("sizes", [[3e8], [3e8, 3.3e8]])
def test_axes_of_runs_that_lie_close_have_numbers(sizes: list[float], tmp_path: Path) -> None:
    row = {"n_tokens": 7e9, "cost": 1e18, "spent": 1e18, "spread": 0.5}
    frame = pl.DataFrame([{"n_params": size, **row} for size in sizes])
    charts.designs(frame, ["N at 1e20 FLOPs"]).save(tmp_path / "design.svg")
    words = {element.text for element in ET.parse(tmp_path / "design.svg").getroot().iter() if element.text}
    assert {"200M", "500M", "5B", "10B"} <= words


def test_a_long_name_does_not_leave_the_axis_that_it_is_on(tmp_path: Path) -> None:
    first = "some-organisation/a-model-of-a-very-long-name-indeed-7b-instruct"
    rows = [("other", k, 0.1, 0.05, 0.15) for k in (1, 2, 4)]
    frame = pl.DataFrame(rows, ["name", "k", "difference", "low", "high"], orient="row")
    charts.differences(frame, first, 0.9).save(tmp_path / "differences.svg")
    words = [
        element.text for element in ET.parse(tmp_path / "differences.svg").getroot().iter() if element.text
    ]
    assert "pass@k less that of" in words
    (label,) = [word for word in words if "…" in word]
    assert label.startswith("some-organisation")
    assert label.endswith("7b-instruct")
    assert len(label) == 34
    charts.differences(frame, "a", 0.9).save(tmp_path / "short.svg")
    assert "pass@k less that of a" in (tmp_path / "short.svg").read_text()


def test_an_axis_of_k_has_whole_numbers_alone(tmp_path: Path) -> None:
    rows = [("other", k, 0.1, 0.05, 0.15) for k in (1, 2, 3, 4)]
    frame = pl.DataFrame(rows, ["name", "k", "difference", "low", "high"], orient="row")
    charts.differences(frame, "a", 0.9).save(tmp_path / "differences.svg")
    words = {element.text for element in ET.parse(tmp_path / "differences.svg").getroot().iter()}
    assert {"1", "2", "3", "4"} <= words
    assert not {"1.2", "1.4", "1.5", "2.5", "3.5"} & words
