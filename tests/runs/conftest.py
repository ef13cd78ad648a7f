"""A model, a task and a run of both, for all tests of runs."""

from __future__ import annotations

from pathlib import Path

import pytest
from t2fast.runs import evaluate
from t2fast.runs.folder import Run
from t2fast.tasks import Task, load_task
from tiny_model import OPTIONS, write_model, write_sums


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("models") / "tiny", n_tokens=5e9)


@pytest.fixture(scope="session")
def sums(tmp_path_factory: pytest.TempPathFactory) -> Task:
    path = write_sums(tmp_path_factory.mktemp("tasks") / "sums.jsonl")
    return load_task(f"table:{path}:prompt=q,answer=a,rule=begins")


@pytest.fixture(scope="session")
def whole(model: Path, sums: Task, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return evaluate([model], [sums], tmp_path_factory.mktemp("whole"), k=40, score=True, **OPTIONS)
