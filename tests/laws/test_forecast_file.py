"""The file of a forecast law: back as it was, and refused with a reason where it is not one."""

import json

import numpy as np
import pytest
from grids import ACCURACY
from t2fast.fits import fit_forecast
from t2fast.laws import ForecastLaw, Law, simulate_counts


@pytest.fixture(scope="module")
def law() -> ForecastLaw:
    counts = simulate_counts(ACCURACY, [1e8, 1e9, 1e10], [1e10, 1e11, 1e12], problems=8, samples=64, seed=1)
    return fit_forecast(counts, draws=40)


def test_a_saved_law_is_the_same_law(law, tmp_path):
    path = tmp_path / "law.json"
    law.save(path)
    again = Law.load(path)
    assert isinstance(again, ForecastLaw)
    there = (3e9, 2e11, [1, 5, 1000])
    np.testing.assert_array_equal(again.predict(*there), law.predict(*there))
    for kind in ("parameters", "mean", "checkpoint"):
        np.testing.assert_array_equal(again.interval(*there, kind=kind), law.interval(*there, kind=kind))
    assert (again.domain, again.source, again.metric) == (law.domain, law.source, law.metric)
    assert again.fit.notes == law.fit.notes
    # A checkpoint and a draw on a line each: a person can read it.
    assert max(map(len, path.read_text().splitlines())) < 4000
    assert "scatter of checkpoints" in str(again)
    assert "40 draws" in str(again)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.update(metric="perplexity"), "metric .perplexity. is not"),
        (lambda d: d["members"].pop(), "members are not those"),
        (lambda d: d["members"][0].update(a="x"), "a holds 'x'"),
        (lambda d: d["members"][1].update(scale=-1), "scale of the forecast law is negative"),
        (lambda d: d["checkpoints"][0].pop(), "checkpoints is no list of rows of"),
        (lambda d: d["checkpoints"][0].__setitem__(0, -5.0), "n_params must be positive"),
        (lambda d: d["draws"][0].append(1.0), "draws is no list of rows"),
        (lambda d: [row.pop(5) for row in d["draws"]], "saved by an older t2fast, .*: fit it anew"),
        (lambda d: d["draws"][0].__setitem__(5, 3.0), "the 6th number of a draw is none of 3 members"),
        (lambda d: d["draws"][0].__setitem__(0, None), "among the draws is not finite"),
        (lambda d: d.update(k=[1, 1, 2, 4, 8, 16, 32]), "must rise"),
        (lambda d: d.update(chance=1.5), r"chance = 1.5 must lie in \[0, 1\)"),
        (lambda d: d.pop("members"), "not a complete law: 'members' is missing"),
        (lambda d: d.update(members=3), "not a complete law"),
        (lambda d: d["domain"].update(k=[8, 1]), "domain of k runs from 8 to 1"),
        (lambda d: d.update(checkpoints=[]), "0 checkpoints"),
        (lambda d: d.update(widening=-1), "widening = -1.0 must be finite"),
    ],
)
def test_a_file_that_is_no_forecast_law_is_refused(law, tmp_path, change, message):
    data = json.loads(json.dumps(law.to_dict()))
    change(data)
    path = tmp_path / "law.json"
    path.write_text(json.dumps(data))
    with pytest.raises(ValueError, match=message):
        Law.load(path)
