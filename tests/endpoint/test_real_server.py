"""`evaluate --endpoint` by llama-cpp-python's own server, through a proxy that lets answers fail."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import t2fast
from t2fast.cli.main import main
from t2fast.decode.endpoint import Endpoint
from t2fast.runs import Run, evaluate
from t2fast.tasks import Task, load_task
from tiny_server import SLOW, broken, cut_before, cut_within, llama_server, proxy, slow, too_many, write_model

pytest.importorskip("httpx", reason="asking a server needs the endpoint extra (httpx)")
pytest.importorskip("gguf", reason="writing the model needs gguf (the decode-test extra)")
pytest.importorskip(
    "llama_cpp.server.app", reason="needs a real server: pip install 'llama-cpp-python[server]'"
)

K = 6
FAULTS = [
    None,
    too_many,
    broken,
    None,
    cut_before,
    cut_within,
    slow,
    too_many,
    None,
    broken,
    cut_within,
    slow,
]


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    folder = tmp_path_factory.mktemp("llama")
    write_model(folder / "tiny.gguf")
    with llama_server(folder / "tiny.gguf", folder / "log.txt") as found:
        yield found


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "sums.jsonl"
    file.write_text("".join(json.dumps({"q": f"{i}+{i}=", "a": str(i)}) + "\n" for i in range(8)))
    return file


@pytest.fixture
def task(path: Path) -> Task:
    return load_task(f"table:{path}:prompt=q,answer=a,rule=begins")


def samples(run: Run) -> dict[tuple[str, int], str]:
    rows = [((row["problem"], row["sample"]), row["text"]) for row in run.samples()]
    assert len(dict(rows)) == len(rows)
    return dict(rows)


def test_faults_change_no_sample(port: int, task: Task, tmp_path: Path) -> None:
    """The server draws the same sample for the same seed: what failed is asked for again, nothing twice."""
    with proxy(port, []) as straight:
        calm = evaluate(
            ["tiny"], [task], tmp_path / "calm", k=K, max_tokens=5, endpoint=straight.url, progress=False
        )
    assert set(straight.done) == {"passed"}
    with proxy(port, list(FAULTS)) as failing:
        asked = Endpoint(failing.url, concurrency=2, timeout=SLOW / 2)
        run = evaluate(["tiny"], [task], tmp_path / "run", k=K, max_tokens=5, endpoint=asked, progress=False)
        done = Counter(failing.done)
    assert {what: done[what] for what in ("429", "500", "cut before", "cut within", "slow")} == {
        "429": 2, "500": 2, "cut before": 1, "cut within": 2, "slow": 2,
    }  # fmt: skip
    assert samples(run) == samples(calm)
    assert len(samples(run)) == 8 * K
    assert len(set(samples(run).values())) > 8 * K // 2
    counts = t2fast.read_counts(tmp_path / "run" / "counts.csv")
    assert counts.frame["n_samples"].to_list() == [K] * 8
    took = run.usage().row(0, named=True)
    assert took["retries"] == 9
    assert took["silent"] == 0
    assert 0 < took["output_tokens"] <= 5 * 8 * K
    assert took["output_tokens"] == calm.usage()["output_tokens"].sum()


def test_a_run_goes_on_where_a_server_gave_up(
    port: int, path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "run"
    spec = f"table:{path}:prompt=q,answer=a,rule=begins"
    given = [
        "evaluate",
        "--model",
        "tiny",
        "--task",
        spec,
        "-k",
        str(K),
        "-o",
        str(folder),
        "--concurrency",
        "1",
    ]
    with proxy(port, [*[None] * 20, *[broken] * 40]) as failing:
        assert main([*given, "--endpoint", failing.url, "--retries", "1"]) != 0
        passed = Counter(failing.done)["passed"]
    assert "500" in capsys.readouterr().err
    assert passed == 20
    before = samples(Run.open(folder))
    assert 0 < len(before) < 8 * K
    with proxy(port, []) as whole:
        assert main([*given, "--endpoint", whole.url]) == 0
        drawn = len(whole.done)
    after = samples(Run.open(folder))
    assert len(after) == 8 * K
    assert {key: after[key] for key in before} == before
    assert drawn == 8 * K - len(before)  # this server gives one sample a request
