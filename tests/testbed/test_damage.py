"""A testbed as an older version left it, or a disk: measured again, or a line that says what to do."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from t2fast import testbed
from t2fast.cli.main import main
from t2fast.testbed.grid import grid
from t2fast.testbed.work import TABLES, finish, is_done
from tiny_bed import TINY

pytest.importorskip("torch", reason="training needs torch")

SETTINGS = testbed.parse_settings(TINY)
ONE = min(grid(SETTINGS), key=lambda one: one.flops)
DAMAGE = ["", "{", "[]", "null", "7", '"text"', "{}", "\0\xff", "[" * 100_000, '{"a": NaN}']


@pytest.fixture
def bed(done: testbed.Testbed, tmp_path: Path) -> Path:
    return Path(shutil.copytree(done.folder, tmp_path / "bed"))


def place(folder: Path) -> Path:
    return folder / "checkpoints" / ONE.name


def same_tables(folder: Path, done: testbed.Testbed) -> bool:
    return all(
        (place(folder) / name).read_bytes() == (place(done.folder) / name).read_bytes() for name in TABLES
    )


def test_a_checkpoint_of_an_older_version_is_measured_again(
    bed: Path, done: testbed.Testbed, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before samples were noted and beginnings counted; the model is kept as it is."""
    path = place(bed) / "work.json"
    took = json.loads(path.read_text())
    path.write_text(json.dumps({"train_flops": took["train_flops"], "seconds": took["seconds"]}))
    (place(bed) / "begun.csv").unlink()
    weights = (place(bed) / "model" / "model.safetensors").stat().st_mtime_ns
    assert main(["testbed", "report", "-o", str(bed)]) == 0
    wanted = len(grid(SETTINGS))
    assert capsys.readouterr().out.startswith(f"{wanted - 1} of {wanted} checkpoints")
    finish(bed, SETTINGS, ONE)
    assert is_done(bed, ONE)
    assert same_tables(bed, done)
    assert (place(bed) / "model" / "model.safetensors").stat().st_mtime_ns == weights


@pytest.mark.parametrize("content", DAMAGE, ids=range(len(DAMAGE)))
def test_a_record_that_is_damaged_is_none(bed: Path, content: str) -> None:
    (place(bed) / "work.json").write_text(content, "latin-1")
    assert not is_done(bed, ONE)


@pytest.mark.parametrize("key", ["samples", "train_flops", "peak_flops", "train_cpu_seconds"])
@pytest.mark.parametrize("value", [None, "8", True, [8], float("nan")])
def test_a_record_whose_values_are_no_numbers_is_none(bed: Path, key: str, value: object) -> None:
    path = place(bed) / "work.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), key: value}))
    assert not is_done(bed, ONE)


@pytest.mark.parametrize("content", DAMAGE, ids=range(len(DAMAGE)))
def test_a_configuration_that_is_damaged_is_named(
    bed: Path, done: testbed.Testbed, content: str, capsys: pytest.CaptureFixture[str]
) -> None:
    config = place(bed) / "model" / "config.json"
    config.write_text(content, "latin-1")
    assert not is_done(bed, ONE)
    file = bed.parent / "tiny.toml"
    file.write_text(TINY)
    assert main(["testbed", str(file), "-o", str(bed), "--workers", "1"]) == 1
    said = capsys.readouterr().err
    assert len(said.splitlines()) == 1
    assert f"{ONE.name}/model/config.json" in said
    assert "remove it, and the model is trained anew" in said


def test_a_model_whose_configuration_was_removed_ends_with_the_same_tables(
    bed: Path, done: testbed.Testbed
) -> None:
    (place(bed) / "model" / "config.json").unlink()
    finish(bed, SETTINGS, ONE)
    assert is_done(bed, ONE)
    assert same_tables(bed, done)


@pytest.mark.parametrize("content", DAMAGE, ids=range(len(DAMAGE)))
def test_settings_that_are_damaged_are_named(
    bed: Path, content: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (bed / "settings.json").write_text(content, "latin-1")
    for command in (["report"], ["pack", "--to", str(bed.parent / "data")]):
        assert main(["testbed", *command, "-o", str(bed)]) == 1
        said = capsys.readouterr().err
        assert len(said.splitlines()) == 1
        assert "settings.json" in said
