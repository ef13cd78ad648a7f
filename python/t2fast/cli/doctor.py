"""`t2fast doctor`: what is here, and whether it works."""

from __future__ import annotations

import argparse
import math
import os
import platform
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib import metadata
from typing import Any

import numpy as np
from rich.console import Group

from t2fast import _core
from t2fast.cli.options import command, show
from t2fast.estimators import pass_at_k
from t2fast.laws import default_law
from t2fast.plans import plan
from t2fast.tables import read_counts
from t2fast.text import Columns, columns, line

_FEATURES = ("avx2", "fma", "avx512f", "avx512_bf16", "amx_bf16", "asimd", "bf16")
"""Of processors, those that the engine has kernels for or whose absence explains its speed."""
_NO_METADATA = (
    "extras: not known, since t2fast is not installed here but run from its source: pip install '.[report]' "
    "and the like, in a checkout, install them"
)


def add_parser(commands: Any) -> None:
    """Add the command `doctor`."""
    command(
        commands,
        "doctor",
        run,
        "say which processor, accelerators, extras and versions are here, and test that t2fast works",
        "  t2fast doctor\n  t2fast doctor --json\n\nExit code 1 if a test fails.",
    )


def run(arguments: argparse.Namespace) -> int:
    """Run the command; returns 1 if a test fails."""
    here, extras, tests = dict(_here()), list(_extras()), list(_tests())
    data = {"here": here, "extras": extras, "tests": tests}

    def shown() -> Group:
        listed = _table(("extra", "package", "version"), [[*map(str, row.values())] for row in extras])
        return Group(
            _table(("what", "is"), [[name, text] for name, text in here.items()]),
            "",
            listed if extras else line(_NO_METADATA),
            "",
            _table(("test", "result", "seconds"), [[*map(str, row.values())] for row in tests]),
        )

    show(arguments, data, shown)
    return int(any(row["result"] != "ok" for row in tests))


def _table(headers: tuple[str, ...], rows: list[list[str]]) -> Columns:
    table = columns(*headers, left=headers)
    for row in rows:
        table.add_row(*row)
    return table


def _here() -> Iterator[tuple[str, str]]:
    yield "t2fast", _core.__version__
    yield "Python", f"{platform.python_version()} ({platform.python_implementation()})"
    yield "system", f"{platform.system()} {platform.release()}, {platform.machine()}"
    name, flags = _processor()
    yield "processor", name
    yield "processor's features", " ".join(flag for flag in _FEATURES if flag in flags) or "none known"
    yield "cores", str(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count())
    yield "GPU", _gpu()


def _processor() -> tuple[str, set[str]]:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            text = file.read()
    except OSError:
        return platform.processor() or platform.machine(), set()
    name = re.search(r"^model name\s*: (.*)$", text, re.MULTILINE)
    flags = re.search(r"^(?:flags|Features)\s*: (.*)$", text, re.MULTILINE)
    return name[1] if name else platform.machine(), set(flags[1].split()) if flags else set()


def _gpu() -> str:
    tool = shutil.which("nvidia-smi")
    if tool is not None:
        line = [tool, "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"]
        try:
            done = subprocess.run(line, capture_output=True, text=True, timeout=10, check=True)
            return "; ".join(done.stdout.strip().splitlines()) or "none"
        except (OSError, subprocess.SubprocessError):
            return "nvidia-smi is there and fails: no usable driver"
    return "AMD's driver is loaded" if os.path.exists("/dev/kfd") else "none"


def _extras() -> Iterator[dict[str, str]]:
    """Every package that an extra names for this Python, and its version; those of the extras for development
    apart.
    """
    try:
        required = metadata.requires("t2fast") or []
    except metadata.PackageNotFoundError:  # a checkout that was never installed
        required = []
    for stated in required:
        older = re.search(r"python_version < ['\"]3\.(\d+)['\"]", stated)
        if older is not None and sys.version_info >= (3, int(older[1])):
            continue
        found = re.match(r"([\w.-]+)[^;]*; .*extra == ['\"]([\w-]+)['\"]", stated)
        if (
            found is None
            or found[1] == "t2fast"
            or found[2] in ("bench", "dev", "docs")
            or "test" in found[2]
        ):
            continue
        try:
            version = metadata.version(found[1])
        except metadata.PackageNotFoundError:
            version = f"missing: pip install 't2fast[{found[2]}]'"
        yield {"extra": found[2], "package": found[1], "version": version}


def _tests() -> Iterator[dict[str, Any]]:
    for name, test in (
        ("pass@k against binomials", _estimates),
        ("a table is read", _reads),
        ("the plan is the best of its profile", _plans),
    ):
        start = time.perf_counter()
        try:
            result = "ok" if test() else "WRONG"
        except Exception as error:  # whatever it is, it is what the command is there to say
            result = f"FAILED: {error!r}"
        yield {"test": name, "result": result, "seconds": round(time.perf_counter() - start, 3)}


def _estimates() -> bool:
    n, c, k = 100, 7, np.arange(1, 101)
    exact = [1 - math.comb(n - c, int(one)) / math.comb(n, int(one)) for one in k]
    return bool(np.allclose(pass_at_k(n, c, k), exact, rtol=1e-12, atol=0))


def _reads() -> bool:
    table = read_counts({"problem": ["a", "b"], "n_samples": [4, 4], "n_correct": [0, 3]})
    return [int(c) for c in table.c] == [0, 3]


def _plans() -> bool:
    best = plan(default_law(), 2.56e19, 2e9)
    most = float(best.profile(100).predicted.max())
    return best.predicted >= most * (1 - 1e-9)
