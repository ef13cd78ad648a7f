"""Run the stages, one process each, and sum up."""

from __future__ import annotations

import argparse
import importlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from benches import gpu_check
from benches.gpu_check import bare

STAGES = {
    "compile": ("ahead", "compile_missing", 100),
    "machine": ("machine", "machine", 40),
    "bits": ("machine", "bits", 60),
    "models": ("models", "models", 100),
    "bench": ("steps", "bench", 200),
    "tune": ("tune", "tune", 160),
    "peers": ("peers", "peers", 240),
    "capture": ("safety", "capture", 30),
    "tests": ("safety", "kernel_tests", 140),
    "sanitize": ("safety", "sanitize", 150),
}
"""Module, function, and the most seconds of each, in order."""
UNFIT = 3
"""How a stage ends on a machine where none can run."""
ON_A_GPU_ALONE = ("compile", "bits", "peers")
"""What a rehearsal leaves out: the suite compiles, bits on a CPU are those of its BLAS, and `gpu_decode`
rehearses by itself."""


def stage(name: str, out: Path) -> None:
    """One stage, in this process."""
    os.environ.pop("TRITON_INTERPRET", None)
    bare.prepare()
    try:
        from t2fast.decode.gpu.device import device

        if not bare.REHEARSED:
            device()
    except (ImportError, ValueError) as error:
        print(f"{sys.executable} cannot run this: {error}")
        sys.exit(UNFIT)
    from benches.gpu_check.results import Results

    if bare.REHEARSED:
        import torch

        torch.set_num_threads(1)  # tests run side by side
    module, function, _ = STAGES[name]
    getattr(importlib.import_module(f"benches.gpu_check.{module}"), function)(Results(out))


def run(stages: list[str], out: Path, budget: float, rehearse: bool) -> int:
    """Stages one after the other until the time is up; 0 if all ended well."""
    end, worst, log = time.time() + budget, 0, out / "log.txt"
    for name in stages:
        if rehearse and name in ON_A_GPU_ALONE:
            continue
        left = None if rehearse else min(STAGES[name][2], end - time.time())
        if left is not None and left < 15:
            print(f"{name}: no time left; the same command goes on with it")
            continue
        began = time.time()
        with log.open("a") as to:
            to.write(f"\n==== {name}\n")
            to.flush()
            command = [sys.executable, "-u", "-m", "benches.gpu_check", "--out", str(out), "--stage", name]
            process = subprocess.Popen(command, stdout=to, stderr=to, start_new_session=True)
            try:
                code = process.wait(left)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)  # with what it has started itself
                code = process.wait()
        worst = max(worst, abs(code))
        print(f"{name}: {time.time() - began:.0f} s, exit {code}", flush=True)
        if code:
            print("\n".join(log.read_text().splitlines()[-8:])[-900:])
        if code == UNFIT:
            break
    return worst


def summary(lines: dict[tuple[str, str], dict[str, Any]]) -> int:
    """A line for each result; how many are not well."""
    wrong = 0
    for (name, case), line in lines.items():
        well = line.get("ok", True) and "error" not in line
        wrong += not well
        rest = {k: v for k, v in line.items() if k not in ("stage", "case", "ok")}
        print("ok" if well else "NOT WELL", name, case, rest if name != "models" or not well else "")
    print(f"{len(lines)} results, {wrong} of them not well")
    return wrong


def main() -> int:
    """The whole, or what a stage's process is asked for."""
    parser = argparse.ArgumentParser(
        prog="python -m benches.gpu_check",
        description=gpu_check.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--out", type=Path, help="a folder for results, made if missing")
    parser.add_argument("--stages", nargs="+", default=list(STAGES), choices=list(STAGES))
    parser.add_argument("--budget", type=float, default=440, help="seconds in all")
    parser.add_argument("--rehearse", action="store_true", help="on a CPU, in small")
    parser.add_argument("--stage", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.out is None:
        parser.error("--out is missing: a folder for results")
    args.out.mkdir(parents=True, exist_ok=True)
    if args.stage:
        stage(args.stage, args.out)
        return 0
    if args.rehearse:
        os.environ["GPU_CHECK_REHEARSE"] = "1"
    status = run(args.stages, args.out, args.budget, args.rehearse)
    bare.prepare()
    from benches.gpu_check.results import Results

    return summary(Results(args.out).had) or status


if __name__ == "__main__":
    sys.exit(min(main(), 1))
