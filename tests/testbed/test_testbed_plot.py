"""The figure of a testbed: the numbers of its tables, and files of it."""

from __future__ import annotations

import json
import math
import shutil
import xml.etree.ElementTree as ET
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from t2fast import charts, testbed
from t2fast.cli.main import main
from t2fast.testbed.grid import grid
from tiny_bed import TINY

pytest.importorskip("torch", reason="training needs torch")
pytest.importorskip("altair", reason="charts need the extra report")


def rows_of(panel: Any) -> list[dict[str, Any]]:
    """The rows of the one data set of a panel, which must be valid Vega-Lite."""
    (rows,) = panel.to_dict()["datasets"].values()
    return rows  # type: ignore[no-any-return]


def test_the_figure_has_what_was_measured_recommended_and_promised(
    done: testbed.Testbed, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = testbed.find(done.folder)
    figure = found.figure()
    profiles, advice, promises = figure.panels
    # pass@k of every size at every budget, from the table by hand
    p = defaultdict(list)
    for row in pl.read_csv(done.folder / "likelihoods.csv").iter_rows(named=True):
        p[row["model"]].append(math.exp(row["log_likelihood"]))
    expected: dict[tuple[float, float], list[float]] = defaultdict(list)
    for one in grid(testbed.parse_settings(TINY)):
        budget = min((2e8, 4e8, 8e8), key=lambda b: abs(math.log(one.flops / b)))
        k = 1.2e5 / (2 * one.shape.n_params)
        passing = np.mean([1 - (1 - value) ** k for value in p[one.name]])
        expected[budget, one.shape.n_params].append(float(passing))
    drawn = {(row["train_flops"], row["n_params"]): row for row in rows_of(profiles)}
    sizes = defaultdict(list)
    for budget, n in expected:
        sizes[budget].append(n)
    assert set(drawn) == {key for key in expected if len(sizes[key[0]]) >= 3}
    for (budget, n), row in drawn.items():
        mean = np.mean(expected[budget, n])
        assert row["measured"] == pytest.approx(mean)
        assert row["best"] == (mean == max(np.mean(expected[budget, other]) for other in sizes[budget]))
    laws = {row["law"]: row for row in rows_of(advice)}
    assert set(laws) == {"forecast", "approach 1", "approach 2", "Chinchilla"}
    for row in found.plans.iter_rows(named=True):
        assert laws[row["law"]]["ratio"] == row["n_tokens"] / row["n_params"]
    for row, one in zip(rows_of(promises), done.kept, strict=True):
        assert row["promise"] == f"{one.promise.task}, {one.promise.choice}"
        assert (row["low"], row["predicted"], row["high"]) == (
            one.promise.low,
            one.promise.predicted,
            one.promise.high,
        )
        assert row["measured"] == pytest.approx(one.measured)
    kept = sum(one.promise.low <= one.measured <= one.promise.high for one in done.kept)
    assert f"{kept} of 2 promises were kept" in figure.says
    file = tmp_path / "bed.svg"
    assert main(["testbed", "report", "-o", str(done.folder), "--plot", str(file)]) == 0
    assert ET.parse(file).getroot().tag.endswith("svg")
    assert f"figure kept in {file}" in capsys.readouterr().err
    assert main(["testbed", "small", "-o", str(tmp_path / "new"), "--plot", str(file)]) == 1
    assert "--plot goes with" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()


def test_a_testbed_at_work_is_drawn_without_its_loop() -> None:
    rows = [("a", 1e9, 1e4 * i, 1e9 / 6e4 / i, 2.0, 0.1 * i, i == 3) for i in (1, 2, 3)]
    names = ["task", "train_flops", "n_params", "n_tokens", "k", "measured", "best"]
    sizes = pl.DataFrame(rows, names, orient="row")
    nothing = pl.DataFrame(schema={"task": pl.String})
    figure = charts.testbed(sizes, nothing, nothing, 8e9)
    assert len(figure.panels) == 1
    assert figure.chart.to_dict()
    assert "a 0.185" in figure.says  # D/N of the largest size


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"loop": [{"task": "a"}]}', '{"loop": 7}', '{"loop": [7]}']
)
def test_a_report_of_an_older_version_is_named(
    done: testbed.Testbed, tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str
) -> None:
    folder = Path(shutil.copytree(done.folder, tmp_path / "bed"))
    (folder / "report.json").write_text(content)
    assert main(["testbed", "report", "-o", str(folder)]) == 1
    said = capsys.readouterr().err
    assert len(said.splitlines()) == 1
    assert "report.json" in said
    assert "run the testbed again" in said


def test_the_findings_have_the_loop(done: testbed.Testbed) -> None:
    data = json.loads((done.folder / "report.json").read_text())["loop"]
    found = testbed.find(done.folder).loop
    assert found["choice"].to_list() == ["plan", "Chinchilla"]
    assert found["predicted"].to_list() == [one["predicted"] for one in data]
    assert found["measured"].to_list() == pytest.approx([np.mean(one["measured"]) for one in data])
