"""Defaults from a file."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest
from t2fast.cli.main import main

pytestmark = pytest.mark.skipif(
    sys.version_info < (3, 11), reason="needs the standard library's reader of TOML"
)

SPEND = ["plan", "--usd", "10000", "--json"]


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "home"))
    return tmp_path / "here" / "t2fast.toml"


def run(capsys: pytest.CaptureFixture[str], *line: str) -> tuple[int, str, str]:
    try:
        code = main(line)
    except SystemExit as end:
        code = int(str(end.code))
    found = capsys.readouterr()
    return code, found.out, found.err


def test_a_file_stands_for_options_and_the_line_goes_first(
    settings: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = run(capsys, *SPEND, "--gpu", "H100", "--usd-per-hour", "2.5", "--queries", "1e6", "--max-k", "8")
    settings.write_text('[plan]\ngpu = "H100"\nusd_per_hour = 2.5\nqueries = "1M"\nmax-k = 64\n')
    assert run(capsys, *SPEND, "--max-k", "8") == whole
    assert whole[0] == 0
    assert run(capsys, *SPEND)[1] != whole[1]


def test_what_a_file_sets_for_one_budget_stands_in_no_others_way(
    settings: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [
        ["plan", "--train-flops", "2.56e19", "--inference-flops", "2e9", "--json"],
        ["plan", "--total-flops", "1e22", "--queries", "1e8", "--json"],
    ]
    plain = [run(capsys, *line) for line in lines]
    settings.write_text('[plan]\ngpu = "H100"\nusd-per-hour = 2.5\nbatch = 8\n')
    assert [run(capsys, *line) for line in lines] == plain
    assert [code for code, *_ in plain] == [0, 0]


def test_the_users_file_counts_where_the_folder_has_none(
    settings: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(capsys, "config")[1].startswith("no file: ")
    home = settings.parents[1] / "home" / "t2fast" / "t2fast.toml"
    home.parent.mkdir(parents=True)
    home.write_text("seed = 3\n[evaluate]\nk = 5\n[passk]\nk = [1, 8]\njson = true\n")
    found = json.loads(run(capsys, "config", "--json")[1])
    assert found["file"] == str(home)
    assert found["commands"]["evaluate"] == {"seed": 3, "k": 5}
    assert found["commands"]["passk"] == {"k": [1, 8], "json": True}
    settings.write_text("[evaluate]\nk = 6\n")
    assert json.loads(run(capsys, "config", "--json")[1])["commands"] == {"evaluate": {"k": 6}}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[plan]\nusd-per-huor = 2\n", "usd-per-huor of plan is no option - did you mean 'usd-per-hour'?"),
        ('[plan]\nplot = "x.svg"\n', "plot of plan can be said on the command line alone"),
        ('[plan]\nbatch = "many"\n', "batch of plan: 'many' is not a number"),
        ("[plan]\nbatch = true\n", "batch of plan is True: give what the option takes"),
        ("[plan]\njson = 1\n", "json of plan is 1: give true or false"),
        ("[plan\n", "is no TOML"),
        ("[plan]\nhelp = true\n", "help of plan is no option"),
    ],
)
def test_what_is_wrong_with_a_file_is_said_with_its_name(
    settings: Path, capsys: pytest.CaptureFixture[str], text: str, says: str
) -> None:
    settings.write_text(text)
    for line, expected in ((SPEND, 2), (["config"], 1)):
        code, out, err = run(capsys, *line)
        assert (code, out) == (expected, "")
        assert "t2fast.toml" in err
        assert says in err


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[plam]\n", "[plam] is no command - did you mean 'plan'?"),
        ("sead = 1\n", "sead is an option of no command"),
    ],
)
def test_config_finds_what_one_command_cannot(
    settings: Path, capsys: pytest.CaptureFixture[str], text: str, says: str
) -> None:
    settings.write_text(text)
    code, _, err = run(capsys, "config")
    assert code == 1
    assert says in err


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such modes")
def test_a_file_that_may_not_be_read_is_named_without_a_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "t2fast.toml").write_text("level = 0.9\n")
    (tmp_path / "t2fast.toml").chmod(0)
    tmp_path.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    main(["completion", "bash"])  # imports are done before rights are given up
    user = os.geteuid()
    if user == 0:  # who may read everything
        os.seteuid(65534)
    try:
        with pytest.raises(SystemExit):
            main(["passk", "counts.csv"])
    finally:
        os.seteuid(user)
    said = capsys.readouterr().err
    assert "t2fast.toml: permission denied" in said
    assert "Errno" not in said
