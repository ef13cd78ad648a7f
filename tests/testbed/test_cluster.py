"""A testbed by several machines: shares of the grid, and tasks of Ray of which a node dies."""

from __future__ import annotations

import threading
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from t2fast import testbed
from t2fast.cli.main import main
from t2fast.testbed.grid import grid
from tiny_bed import TINY

pytest.importorskip("torch", reason="training needs torch")

TABLES = ("counts", "begun", "likelihoods", "losses")


def test_shares_make_the_grid_and_the_rest_follows(
    done: testbed.Testbed, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, folder = tmp_path / "tiny.toml", tmp_path / "bed"
    file.write_text(TINY)
    given = ["testbed", str(file), "-o", str(folder)]
    assert main([*given, "--share", "1/2"]) != 0
    assert "has no corpus yet: share 0/2 makes it" in capsys.readouterr().err
    for share in ("0/2", "1/2", "2/2"):
        assert main([*given, "--share", share]) == 0
    settings = testbed.parse_settings(TINY)
    names = {one.name for one in grid(settings)}
    assert {path.parent.name for path in folder.glob("checkpoints/*/work.json")} == names
    ready = {path: path.stat().st_mtime_ns for path in folder.glob("checkpoints/*/work.json")}
    testbed.run_testbed(settings, folder, workers=1)
    assert all(path.stat().st_mtime_ns == at for path, at in ready.items())
    for name in TABLES:
        assert (folder / f"{name}.csv").read_bytes() == (done.folder / f"{name}.csv").read_bytes()


@pytest.mark.parametrize(("share", "words"), [("3", "write it as 3/40"), ("3/2", "share 3/2 is none")])
def test_shares_that_are_none_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], share: str, words: str
) -> None:
    assert main(["testbed", "small", "-o", str(tmp_path), "--share", share]) != 0
    assert words in capsys.readouterr().err


@pytest.mark.skipif(find_spec("ray") is not None, reason="needs a machine without ray")
def test_without_ray_nothing_is_begun(tmp_path: Path) -> None:
    with pytest.raises(ImportError, match="needs ray: pip install"):
        testbed.run_testbed(testbed.parse_settings(TINY), tmp_path / "bed", ray=True)
    assert not (tmp_path / "bed").exists()


@pytest.mark.slow
def test_a_node_of_ray_dies_and_the_tables_are_the_same(done: testbed.Testbed, tmp_path: Path) -> None:
    """Two nodes of one processor each; one is killed amid its checkpoints, and nothing finished is lost."""
    ray = pytest.importorskip("ray", reason="work on a cluster needs the extra ray")
    from ray.cluster_utils import Cluster

    folder = tmp_path / "bed"
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    other = cluster.add_node(num_cpus=1)
    ray.init(address=cluster.address, log_to_driver=False)
    killed: list[dict[Path, int]] = []

    def kill() -> None:
        while len(ready := list(folder.glob("checkpoints/*/work.json"))) < 2:
            time.sleep(0.02)
        killed.append({path: path.stat().st_mtime_ns for path in ready})
        cluster.remove_node(other, allow_graceful=False)

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        settings: Any = testbed.parse_settings(TINY)
        testbed.run_testbed(settings, folder, ray=True)
        killer.join()
    finally:
        ray.shutdown()
        cluster.shutdown()
    assert len(killed[0]) < len(grid(settings))
    assert all(path.stat().st_mtime_ns == at for path, at in killed[0].items())
    for name in TABLES:
        assert (folder / f"{name}.csv").read_bytes() == (done.folder / f"{name}.csv").read_bytes()
