"""Laws that come with the package: by name, made of what is shipped, and taken by every command."""

import json
import warnings
from pathlib import Path

import numpy as np
import pytest
import t2fast
from t2fast.cli.main import main
from t2fast.laws import find_law

TESTBED = [name for name in t2fast.embedded_laws() if name.startswith("testbed-")]


def test_the_default_law_is_the_first() -> None:
    names = t2fast.embedded_laws()
    assert names[0] == "pythia-gsm8k"
    assert t2fast.embedded_law(names[0]).to_dict() == t2fast.default_law().to_dict()
    assert "testbed-arithmetic" in names


def test_every_task_of_the_shipped_testbed_has_a_law() -> None:
    tasks = t2fast.data.testbed().likelihoods.frame["task"].unique()
    assert len(TESTBED) == len(tasks)


@pytest.mark.parametrize("name", TESTBED)
def test_a_law_is_of_the_tables_that_are_shipped(name: str) -> None:
    law = t2fast.embedded_law(name)
    task = law.source.partition(" on ")[2]
    # The dearer ones are what it is held against.
    table = t2fast.data.testbed().likelihoods.filter(task=task, max_train_flops=6.6e11)
    assert f" {len(table.checkpoints)} checkpoints on " in law.source
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        again = t2fast.fit_accuracy(table, draws=0)
    n, d = table.checkpoints["n_params"].to_numpy(), table.checkpoints["n_tokens"].to_numpy()
    for k in (1, 30):
        np.testing.assert_allclose(law.predict(n, d, k), again.predict(n, d, k), rtol=1e-4)
    assert law.draws is not None
    assert law.fit is not None
    assert "it forecasts the" in law.fit.notes[-1]
    low, high = law.interval(n, d, 4)
    assert (low <= high).all()


@pytest.mark.parametrize(
    ("name", "meant"), [("testbed-arithmetik", "testbed-arithmetic"), ("pythia", "pythia-gsm8k")]
)
def test_an_unknown_name_is_answered_by_those_there_are(name: str, meant: str) -> None:
    for find in (t2fast.embedded_law, find_law):
        with pytest.raises(
            ValueError, match=rf"no law is called '{name}' \(did you mean '{meant}'\?\).*testbed-"
        ) as no:
            find(name)
        assert all(one in str(no.value) for one in t2fast.embedded_laws())


def test_a_path_is_a_file_and_a_name_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    law = t2fast.embedded_law("testbed-arithmetic")
    for place in ("law.json", "mine", "testbed-arithmetic"):
        t2fast.default_law().save(place)
    for place in ("law.json", "mine", "./testbed-arithmetic", str(tmp_path / "testbed-arithmetic")):
        assert find_law(place).source == t2fast.default_law().source
    assert find_law("testbed-arithmetic").source == law.source
    assert find_law(None).source == t2fast.default_law().source
    with pytest.raises(FileNotFoundError):
        find_law("absent.json")


def test_commands_take_the_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("altair", reason="a report needs the report extra (altair)")
    name = "testbed-arithmetic"
    law = t2fast.embedded_law(name)
    assert main(["plan", "--law", name, "--train-flops", "1e10", "--inference-flops", "3e5", "--json"]) == 0
    planned = json.loads(capsys.readouterr().out)
    assert planned["law"]["source"] == law.source
    counts = tmp_path / "counts.csv"
    assert main(["simulate", "--law", name, "--problems", "4", "--samples", "16", "-o", str(counts)]) == 0
    sizes = t2fast.read_counts(counts).checkpoints["n_params"]
    assert sizes.max() <= law.domain["n_params"][1] * 1.01
    assert main(["explore", name, "-o", str(tmp_path / "explorer.html")]) == 0
    assert "checkpoints on arithmetic" in (tmp_path / "explorer.html").read_text()
    assert main(["report", str(counts), "--law", name, "-o", str(tmp_path / "report.html")]) == 0
    capsys.readouterr()
    assert main(["plan", "--law", "testbed", "--train-flops", "1e10"]) == 1
    assert "those that come with t2fast are pythia-gsm8k, testbed-" in " ".join(
        capsys.readouterr().err.split()
    )
