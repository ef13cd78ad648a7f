"""A small part of the calibration bench: intervals of a few simulated tables, and the truths behind them."""

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from scipy import integrate, stats
from scipy.special import betaln, expit

BENCH = Path(__file__).resolve().parents[2] / "benches" / "calibration.py"


@pytest.fixture(scope="module")
def calibration() -> ModuleType:
    spec = importlib.util.spec_from_file_location("calibration", BENCH)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["calibration"] = module  # where dataclasses look their annotations up
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("wrong", [False, True])
def test_truth_is_the_mean_over_problems(calibration: ModuleType, wrong: bool):
    setting = calibration.Setting(wrong=wrong)
    n, d, k, effect = 1e9, 2e10, 16.0, 0.2
    latent = setting.latent(np.array([n]), np.array([d]))[0] + effect
    if wrong:
        m = -1.2 * latent**1.3

        def integrand(x: float) -> float:
            return float(-np.expm1(-k * np.log1p(np.exp(x))) * stats.norm.pdf(x, m, 1.6))

        expected = integrate.quad(integrand, m - 15, m + 15)[0]
    else:
        # The paper's link with its parameters as numbers: mean 1/(1 + e^latent), and a + b.
        latent = 1500 / n**0.35 + 10_000 / d**0.37 + effect
        mean, size = expit(-latent), np.exp(2 + 0.1 * latent)
        a, b = mean * size, (1 - mean) * size
        expected = -np.expm1(betaln(a, b + k) - betaln(a, b))
    assert setting.mean(n, d, k, effect) == pytest.approx(expected, rel=2e-3)


def test_problems_keep_their_difficulty_where_they_are_shared(calibration: ModuleType):
    rng = np.random.default_rng(0)
    table = calibration.Setting(shared=0.7).table(rng, rng.standard_normal(200))
    rates = (table.c / table.n).reshape(25, 200)
    correlation = np.corrcoef(stats.rankdata(rates[-1]), stats.rankdata(rates[-2]))[0, 1]
    assert 0.5 < correlation < 0.85
    own = calibration.Setting().table(rng, rng.standard_normal(200))
    rates = (own.c / own.n).reshape(25, 200)
    assert abs(np.corrcoef(stats.rankdata(rates[-1]), stats.rankdata(rates[-2]))[0, 1]) < 0.25


@pytest.mark.parametrize("law", ["counts", "forecast"])
def test_intervals_of_a_true_law_cover(calibration: ModuleType, law: str):
    found = calibration.coverage("exact", law, tables=5, draws=40, problems=32)
    assert set(found) >= {"inside", "far out", "N*"}
    # 90% meant: of ten intervals, two a table, five or fewer hold with a chance of two in a thousand.
    assert found["inside"][0] > 5.5 / 10


def test_tables_of_an_earlier_run_are_kept_but_a_line_cut_by_a_kill(calibration: ModuleType, tmp_path: Path):
    file = tmp_path / "kept.jsonl"
    rows = [("exact", "forecast")]
    assert calibration.kept(file, rows, 100) == {}
    marks = {"inside": [True, False], "N*": []}
    line = {"setting": "exact", "law": "forecast", "seed": 3, "draws": 100, "marks": marks}
    others = {**line, "draws": 200}, {**line, "law": "counts"}
    file.write_text("".join(json.dumps(each) + "\n" for each in (line, *others)) + json.dumps(line)[:40])
    assert calibration.kept(file, rows, 100) == {("exact", "forecast", 3): marks}
