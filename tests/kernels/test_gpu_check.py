"""The check for a machine with a GPU, in small and without one: its logic, not its numbers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

for _name in ("transformers", "gguf", "tokenizers"):
    pytest.importorskip(_name, reason=f"the rehearsal makes models with the decode-test extra ({_name})")

ROOT = Path(__file__).parents[2]
PATHS = os.pathsep.join(filter(None, (os.environ.get("PYTHONPATH"), str(ROOT))))
"""Where another Triton may be, then the repository."""


def check(out: Path, *arguments: str, rehearse: bool = True) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "benches.gpu_check", "--out", str(out), *arguments]
    command += ["--rehearse"] if rehearse else []
    environment = {**os.environ, "PYTHONPATH": PATHS, "CUDA_VISIBLE_DEVICES": ""}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def test_every_stage_goes_through_and_none_is_done_twice(tmp_path: Path) -> None:
    # As a run leaves it that was killed while it made its models.
    (tmp_path / "carried" / "models").mkdir(parents=True)
    done = check(tmp_path)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]
    lines = [json.loads(line) for line in (tmp_path / "results.jsonl").read_text().splitlines()]
    stages = {"machine", "models", "bench", "extras", "capture", "tests", "tune", "sanitize"}
    assert {line["stage"] for line in lines} == stages
    assert not [line for line in lines if "error" in line or line.get("ok") is False]
    assert done.stdout.splitlines()[-1] == f"{len(lines)} results, 0 of them not well"
    with (tmp_path / "results.jsonl").open("a") as file:
        file.write('{"stage": "tune", "ca')  # as a machine that goes away may leave it
    again = check(tmp_path, "--stages", "tune", "tests")
    assert again.returncode == 0, again.stdout[-3000:] + again.stderr[-2000:]
    assert again.stdout.splitlines()[-1] == done.stdout.splitlines()[-1]
    assert len((tmp_path / "results.jsonl").read_text().splitlines()) == len(lines) + 1


def test_without_a_gpu_one_line_says_so(tmp_path: Path) -> None:
    done = check(tmp_path, "--stages", "machine", "bits", rehearse=False)
    assert done.returncode == 1
    assert "Traceback" not in done.stdout
    assert "device='cuda': torch " in done.stdout
    assert not [line for line in done.stdout.splitlines() if line.startswith("bits")]


def test_kernels_compiled_ahead_are_found_again(tmp_path: Path) -> None:
    """The second time Triton's cache has every launch under its name, and nothing is written."""
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    environment |= {"PYTHONPATH": PATHS, "TRITON_CACHE_DIR": str(tmp_path), "GPU_CHECK_REHEARSE": "1"}

    def ahead() -> tuple[str, dict[Path, int]]:
        command = [sys.executable, "-W", "ignore", "-m", "benches.gpu_check.ahead"]
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout.split(",")[0], {
            path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()
        }

    said, made = ahead()
    assert said == "13 kernels"
    assert sum(path.suffix == ".cubin" for path in made) == 13
    assert ahead() == (said, made)
