"""What must not go wrong: the kernels' own tests, captures beside other threads, memory, and races."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import threading
from typing import Any

import torch
from t2fast.decode.gpu.state import DeviceState
from t2fast.kernels.model import Shape
from t2fast.kernels.step import Filters

from benches.gpu_check.bare import REHEARSED
from benches.gpu_check.results import Results, device, sync
from benches.gpu_check.work import random_weights, sampling

SHAPES = (
    Shape(2, 72, 3, 1, 24, 100, 131, 1e-5),
    Shape(2, 96, 6, 6, 16, 256, 150, 1e-5, layer_norm=True, head_norm="row"),
)
FILTERS = (Filters(), Filters(top_k=20, top_p=0.9))


def kernel_tests(results: Results) -> None:
    """The repository's tests of the kernels with `on_gpu`."""
    results.take("tests", "kernels", tested)


def tested() -> dict[str, Any]:
    """Which tests failed, and pytest's last word; in the rehearsal two of them."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "benches.gpu_check.on_gpu", "--tb=short"]
    command += ["--confcutdir=tests/kernels", "-p", "no:cacheprovider"]
    command += ["tests/kernels/test_kernels.py", "tests/kernels/test_kernels_drawing.py"]
    if REHEARSED:
        command += ["-k", "moves_its_row_on or turns_by_nothing"]
    elif importlib.util.find_spec("xdist"):  # most of the time goes into compiling
        command += ["-n", str(min(os.cpu_count() or 1, 12))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    print(done.stdout[-6000:])
    failed = re.findall(r"^(?:FAILED|ERROR) \S+::(\S+)", done.stdout, re.M)
    said = (done.stdout.strip() or done.stderr.strip()).splitlines()[-1:]
    return {"ok": done.returncode == 0, "failed": failed[:20], "said": said}


def capture(results: Results) -> None:
    """Another thread allocates and computes while steps are captured; an error in a capture ends it."""
    results.take("capture", "beside another thread", beside_a_thread)
    if not REHEARSED:
        results.take("capture", "an error inside", an_error_inside)


@torch.inference_mode()
def beside_a_thread() -> dict[str, Any]:
    """Many captures while another thread keeps the allocator and the device busy."""
    stop, errors = threading.Event(), []

    def disturb() -> None:
        try:
            while not stop.is_set():
                torch.empty(int(torch.randint(1, 1 << 22, ())), device=device()).sum().item()
                if not REHEARSED:
                    torch.cuda.empty_cache()
        except Exception as error:
            errors.append(repr(error)[:200])

    other = threading.Thread(target=disturb)
    other.start()
    try:
        weights = random_weights(SHAPES[0])
        for k in (1, 17, 65):
            sampling(weights, k, 5, prompt=9)[0].run()
        sync()
    finally:
        stop.set()
        other.join()
    return {"ok": not errors, "errors": errors}


@torch.inference_mode()
def an_error_inside() -> dict[str, Any]:
    """The thread is back on its stream, and the next call draws."""
    weights, before = random_weights(SHAPES[0]), torch.cuda.current_stream()
    batch, state = sampling(weights, 5, 9, prompt=9)
    batch._admit()
    state._step()
    state._run, said = (lambda: torch.empty(1 << 50, device="cuda")), "nothing"
    try:
        state._step()
    except Exception as error:
        said = repr(error)[:80]
    same = torch.cuda.current_stream() == before
    again = sampling(weights, 5, 9, prompt=9)[0].run()
    return {"ok": same and said != "nothing" and len(again["tokens"]) == 45, "said": said}


def sanitize(results: Results) -> None:
    """compute-sanitizer's memcheck and racecheck over a few steps of small models."""
    if REHEARSED:
        results.take("sanitize", "small", small)
    for kind in () if REHEARSED else ("memcheck", "racecheck"):
        results.take("sanitize", kind, lambda kind=kind: sanitized(kind))


def sanitized(kind: str) -> dict[str, Any]:
    """`small` under one tool; every tensor is an allocation of its own."""
    tool = shutil.which("compute-sanitizer") or "/usr/local/cuda/bin/compute-sanitizer"
    environment = {**os.environ, "PYTORCH_NO_CUDA_MEMORY_CACHING": "1"}
    program = "from benches.gpu_check import bare\nbare.prepare()\n"
    program += "from benches.gpu_check import safety\nsafety.small()"
    command = [tool, "--tool", kind, "--print-limit", "5", sys.executable, "-c", program]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=70)
    end = (done.stdout + done.stderr)[-400:]
    return {"ok": bool(re.search(r"ERROR SUMMARY: 0 errors|\b0 hazards", end)), "end": end}


@torch.inference_mode()
def small() -> dict[str, Any]:
    """A few steps, launch by launch: empty rows, odd sizes, filters."""
    DeviceState._step = DeviceState._run
    for s in SHAPES:
        weights = random_weights(s)
        for filters in FILTERS:
            sampling(weights, 19, 5, prompt=20 if REHEARSED else 300, filters=filters)[0].run()
    sync()
    return {"ok": True}
