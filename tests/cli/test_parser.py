"""What the command line says of itself: what may have been meant, what there is, and how loud it is."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import t2fast
from t2fast.cli import doctor
from t2fast.cli.main import main


def ended(arguments: list[str]) -> Any:
    with pytest.raises(SystemExit) as found:
        main(arguments)
    return found.value.code


@pytest.mark.parametrize(
    ("line", "meant"),
    [
        (["pask", "counts.csv"], "passk"),
        (["validat", "counts.csv"], "validate"),
        (["fit", "counts.csv", "--law", "acuracy"], "accuracy"),
        (["passk", "counts.csv", "--misisng", "drop"], "--missing"),
        (["plan", "--train-flop", "1e20", "--inferense-flops", "1e9"], "--inference-flops"),
    ],
)
def test_what_may_have_been_meant(line: list[str], meant: str, capsys: Any) -> None:
    assert ended(line) == 2
    assert f"did you mean '{meant}'?" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (["choose", "c.csv", "--prices", "p.csv", "--max-k", "2.5"], "'2.5' is not a whole number"),
        (["choose", "c.csv", "--prices", "p.csv", "--target", "90%"], "'90%' is not a number"),
        (["choose", "c.csv", "--prices", "p.csv", "--only", " , "], "' , ' names no model"),
        (["fit", "c.csv", "--seed", "x"], "'x' is not a whole number"),
    ],
)
def test_what_is_no_number_is_said_without_types_of_python(line: list[str], says: str, capsys: Any) -> None:
    assert ended(line) == 2
    error = capsys.readouterr().err
    assert says in error
    assert "value:" not in error


def test_nothing_is_guessed_where_nothing_is_near(capsys: Any) -> None:
    assert ended(["xyzzy"]) == 2
    assert "did you mean" not in capsys.readouterr().err


def test_tasks_laws_and_data_sets_are_guessed_too() -> None:
    with pytest.raises(ValueError, match=r"did you mean 'synthetic/arithmetic'\?"):
        t2fast.tasks.load_task("synthetic/arithmetik")
    with pytest.raises(ValueError, match=r"did you mean 'chinchilla'\?"):
        t2fast.Law("chinchila", {})
    gym = pytest.importorskip("reasoning_gym", reason="needs reasoning-gym, whose data sets are named")
    assert gym
    with pytest.raises(ValueError, match=r"did you mean 'chain_sum'\?"):
        t2fast.tasks.load_task("reasoning-gym/chain_sums")


def test_tasks_are_listed_though_no_model_is_given(capsys: Any) -> None:
    assert ended(["evaluate", "--list-tasks"]) == 0
    listed = capsys.readouterr().out.split()
    assert listed == t2fast.tasks.task_names()
    assert {"synthetic/arithmetic", "gsm8k:FILE"} <= set(listed)


def test_quiet_says_nothing_but_the_result_and_errors(tmp_path: Path, capsys: Any) -> None:
    table = tmp_path / "counts.csv"
    table.write_text("problem,n_samples,n_correct\na,4,1\n\nb,4,2\n")
    assert main(["passk", str(table)]) == 0
    loud = capsys.readouterr()
    assert "left out" in loud.err
    assert main(["passk", str(table), "--quiet"]) == 0
    assert capsys.readouterr() == (loud.out, "")
    assert main(["passk", str(tmp_path / "none.csv"), "-q"]) == 1
    assert "none.csv" in capsys.readouterr().err


def test_verbose_says_how_long_it_took_and_where_it_failed(tmp_path: Path, capsys: Any) -> None:
    budgets = ["--train-flops", "1e20", "--inference-flops", "2e9"]
    assert main(["plan", *budgets, "-v"]) == 0
    assert "plan took" in capsys.readouterr().err
    assert main(["passk", str(tmp_path / "none.csv"), "-v"]) == 1
    assert "Traceback" in capsys.readouterr().err


def test_doctor_tests_and_lists(capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert main(["doctor", "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert data["here"]["t2fast"] == t2fast.__version__
    assert [row["result"] for row in data["tests"]] == ["ok"] * 3
    monkeypatch.setattr(doctor, "pass_at_k", lambda n, c, k: 0 * k)
    assert main(["doctor"]) == 1
    assert "WRONG" in capsys.readouterr().out


def test_doctor_says_that_extras_are_not_known_of_a_checkout(
    capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There are no metadata of a package that was never installed."""

    def requires(name: str) -> list[str]:
        raise doctor.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(doctor.metadata, "requires", requires)
    assert main(["doctor"]) == 0
    words = " ".join(capsys.readouterr().out.split())
    assert "extras: not known, since t2fast is not installed here" in words
    assert "extra package version" not in words


def test_doctor_does_not_miss_what_an_older_python_needs(
    capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    major, minor = sys.version_info[:2]
    stated = [
        f"old-only>=2; python_version < '{major}.{minor}' and extra == 'train'",
        f"still-needed; python_version < '{major}.{minor + 1}' and extra == 'train'",
    ]
    monkeypatch.setattr(doctor.metadata, "requires", lambda name: stated)
    assert main(["doctor", "--json"]) == 0
    assert [row["package"] for row in json.loads(capsys.readouterr().out)["extras"]] == ["still-needed"]


def test_the_script_for_bash_completes_commands() -> None:
    pytest.importorskip("shtab", reason="needs shtab, which writes the script")
    line = [sys.executable, "-m", "t2fast", "completion", "bash"]
    script = subprocess.run(line, capture_output=True, text=True, check=True).stdout
    ask = 'COMP_WORDS=(t2fast pas); COMP_CWORD=1; _shtab_t2fast t2fast pas t2fast; echo "${COMPREPLY[@]}"'
    done = subprocess.run(["bash", "-c", f"{script}\n{ask}"], capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["passk"], done.stderr


@pytest.mark.parametrize(
    "typed", ["passk cou", "plan --law cou", "report counts.csv -o cou", "evaluate --models cou"]
)
def test_both_shells_complete_files_where_files_go(typed: str, tmp_path: Path) -> None:
    """In zsh nothing was completed there."""
    pytest.importorskip("shtab", reason="needs shtab, which writes the script")
    (tmp_path / "counts.csv").touch()
    line = [sys.executable, "-m", "t2fast", "completion"]
    script = subprocess.run([*line, "bash"], capture_output=True, text=True, check=True).stdout
    words = ["t2fast", *typed.split()]
    ask = (
        f"COMP_WORDS=({' '.join(words)}); COMP_CWORD={len(words) - 1}; "
        f'_shtab_t2fast t2fast cou {words[-2]}; echo "${{COMPREPLY[@]}}"'
    )
    done = subprocess.run(
        ["bash", "-c", f"{script}\n{ask}"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.stdout.split() == ["counts.csv"], done.stderr
    zsh = subprocess.run([*line, "zsh"], capture_output=True, text=True, check=True).stdout
    body = zsh[zsh.index(f"_shtab_t2fast_{words[1]}_options=(") :]
    asked = words[-2] if words[-2].startswith("-") else '"(*):'
    entry = next(row for row in body.splitlines() if asked in row or f"{asked}}}" in row)
    assert entry.rstrip('"').endswith(":_files")


def test_doctor_reads_extras_as_packages_state_them(monkeypatch: pytest.MonkeyPatch) -> None:
    stated = [
        "numpy>=1.24",
        "rich>=13 ; extra == 'report'",
        'triton>=3.6; (sys_platform == "linux") and extra == "gpu"',
        "no-such-package>=1; extra == 'tasks'",
        "t2fast[report] ; extra == 'plot'",
        "scipy>=1.11 ; extra == 'test'",
    ]
    monkeypatch.setattr(doctor.metadata, "requires", lambda name: stated)
    found = {row["package"]: row for row in doctor._extras()}
    assert {name: row["extra"] for name, row in found.items()} == {
        "rich": "report",
        "triton": "gpu",
        "no-such-package": "tasks",
    }
    assert found["no-such-package"]["version"] == "missing: pip install 't2fast[tasks]'"
    assert found["rich"]["version"][0].isdigit()
