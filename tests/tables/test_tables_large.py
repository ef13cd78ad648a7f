"""1e8 rows of single samples become counts within 2 GiB, whatever their order."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROWS, PROBLEMS = 100_000_000, 10_000


@pytest.fixture(scope="module")
def bench() -> ModuleType:
    path = Path(__file__).resolve().parents[2] / "benches" / "tables.py"
    spec = importlib.util.spec_from_file_location("bench_tables", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("text", [True, False], ids=["text", "integers"])
def test_peers_agree(bench: ModuleType, text: bool, tmp_path: Path) -> None:
    for order in ("random", "sorted"):
        bench.write_samples(tmp_path / "s.parquet", 200_000, 50, text=text, order=order)
        answers = {bench.count(peer, str(tmp_path / "s.parquet")) for peer in bench.PEERS}
        assert len(answers) == 1
        assert answers.pop()[:2] == (5_000, 200_000)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="peak memory is read by getrusage")
@pytest.mark.parametrize("text", [True, False], ids=["text", "integers"])
def test_memory_is_bounded(bench: ModuleType, text: bool, tmp_path: Path) -> None:
    bench.write_samples(tmp_path / "s.parquet", ROWS, PROBLEMS, text=text)
    result = bench.measured("t2fast", tmp_path / "s.parquet")
    groups, samples, correct, _ = result["answer"]
    assert (groups, samples) == (bench.CHECKPOINTS * PROBLEMS, ROWS)
    assert abs(correct / samples - 0.3) < 0.001
    assert result["peak"] < 2.0
