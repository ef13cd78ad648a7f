"""A run's shares as tasks of Ray, of which a node dies: nothing finished is lost, the run ends the same."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from t2fast.cli.main import main
from t2fast.runs import Run, evaluate
from t2fast.runs.records import Lock
from t2fast.runs.shares import wait_for_shares
from t2fast.tasks import Problem, Task
from tiny_model import OPTIONS, contents, write_model


@pytest.fixture(scope="module")
def nodes() -> Iterator[Any]:
    """A cluster of a node with one processor; tests add others."""
    ray = pytest.importorskip("ray", reason="work on a cluster needs the extra ray")
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    ray.init(address=cluster.address, log_to_driver=False)
    yield cluster
    ray.shutdown()
    cluster.shutdown()


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("several")
    return {name: write_model(folder / name, seed=i, n_tokens=1e9) for i, name in enumerate("ab")}


@pytest.mark.slow
def test_a_node_dies_and_the_run_is_the_same(
    nodes: Any, models: dict[str, Path], sums: Task, tmp_path: Path
) -> None:
    """Two nodes at work, one killed half-way: only the sample that it was judging is judged twice."""
    rule, asked = sums.check, tmp_path / "asked"
    assert rule is not None
    asked.touch()

    def check(problem: Problem, text: str) -> bool:
        with open(asked, "ab") as file:
            file.write(b".")
        time.sleep(0.001)
        return rule(problem, text)

    tasks = [replace(sums, name=name, check=check) for name in ("one", "two")]
    told: dict[str, Any] = {"k": 30, "score": True, **OPTIONS}
    whole = evaluate(models, [replace(task, check=rule) for task in tasks], tmp_path / "whole", **told)
    total = 2 * 2 * 60 * 30
    other = nodes.add_node(num_cpus=1)
    killed: list[tuple[int, int]] = []

    def kill() -> None:
        run = tmp_path / "run"
        while asked.stat().st_size < total / 3:
            time.sleep(0.02)
        killed.append((asked.stat().st_size, len(list(run.glob("samples/*/*.journal")))))
        nodes.remove_node(other, allow_graceful=False)

    killer = threading.Thread(target=kill)
    killer.start()
    run = evaluate(models, tasks, tmp_path / "run", ray=True, **told)
    killer.join()
    assert killed[0][0] < total
    assert killed[0][1] == 2  # both were at work
    assert total <= asked.stat().st_size <= total + 1
    assert contents(run.folder) == contents(whole.folder)
    again = evaluate(models, tasks, tmp_path / "run", ray=True, **told)  # all of it is there
    assert contents(again.folder) == contents(whole.folder)


@pytest.mark.slow
def test_the_command_grows_a_run_by_tasks_of_ray(
    nodes: Any, models: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["evaluate", "--task", "synthetic/arithmetic", "--problems", "8", "--max-tokens", "3"]
    given += ["--dtype", "float32", "--json"]
    both = [word for path in models.values() for word in ("--model", str(path))]
    assert main([*given, *both[:2], "-k", "4", "-o", str(tmp_path / "run")]) == 0
    on_ray = ["--ray", "--cpus", "0.5"]
    assert main([*given, *both, "-k", "9", "-o", str(tmp_path / "run"), *on_ray]) == 0
    assert main([*given, *both, "-k", "9", "-o", str(tmp_path / "whole")]) == 0
    assert contents(tmp_path / "run") == contents(tmp_path / "whole")
    assert Run.open(tmp_path / "run").missing == 0
    capsys.readouterr()
    for more, says in (
        (["--gpus", "1"], "a task takes 1 GPU, and no node of Ray has more than 0"),
        (["--cpus", "1000"], "a task takes 1000 CPU, and no node of Ray has more than"),
    ):
        assert main([*given, *both, "-o", str(tmp_path / "none"), "--ray", *more]) == 1
        assert says in capsys.readouterr().err


@pytest.mark.slow
def test_what_goes_wrong_on_a_node_is_said(nodes: Any, models: dict[str, Path], tmp_path: Path) -> None:
    def check(problem: Problem, text: str) -> bool:
        raise ValueError(f"{problem.id} cannot be judged")

    task = Task("odd", (Problem("p", "Q:1+1="),), "exact", check)
    with pytest.raises(ValueError, match=r"^[ab], odd: p cannot be judged$"):
        evaluate(models, [task], tmp_path, k=2, ray=True, **OPTIONS)


def test_what_ray_cannot_do_is_refused(models: dict[str, Path], sums: Task, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="cpus and gpus are of tasks of Ray"):
        evaluate(models, [sums], tmp_path, k=1, cpus=2)
    with pytest.raises(ValueError, match="leave it out with endpoint"):
        evaluate(["a"], [sums], tmp_path, k=1, ray=True, endpoint="http://localhost:1/v1")
    for cpus in (0, -1, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="cpus must be above 0"):
            evaluate(models, [sums], tmp_path, k=1, ray=True, cpus=cpus)
    with pytest.raises(ValueError, match="gpus must be 0 or more"):
        evaluate(models, [sums], tmp_path, k=1, ray=True, gpus=-1)


def test_a_share_that_is_at_work_is_waited_for(tmp_path: Path) -> None:
    """What a caller left behind that died, on a node that lives."""
    place = tmp_path / "at_work" / "a" / "one"
    place.mkdir(parents=True)
    with Lock(place):
        waiting = threading.Thread(target=wait_for_shares, args=(tmp_path,))
        waiting.start()
        time.sleep(0.3)
        assert waiting.is_alive()
        assert os.path.exists(place)
    waiting.join()
    assert not place.parent.parent.exists()
