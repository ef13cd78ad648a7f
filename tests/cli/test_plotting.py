"""Figures show the numbers of what they are of, and become files of every kind."""

from __future__ import annotations

import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import t2fast
from t2fast import charts
from t2fast.cli.main import main
from t2fast.reports.page import Prose

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
