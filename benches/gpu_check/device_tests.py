"""The repository's own kernel tests on the GPU, in pytest's own process."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import Any


def kernel_tests(results: Any) -> None:
    """The repository's own kernel tests, their launches on the GPU."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "benches.gpu_check.on_gpu", "--tb=short"]
    command += ["--confcutdir=tests/kernels", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*command, "tests/kernels/test_kernels.py"], capture_output=True, text=True, check=False
    )
    print(done.stdout[-6000:])
    failed = re.findall(r"^(?:FAILED|ERROR) \S+::(\S+)", done.stdout, re.M)
    last = done.stdout.strip().splitlines()[-1:]
    results.add(
        "tests", "kernels", ok=done.returncode == 0, failed=failed[:20], said=last, stderr=done.stderr[-300:]
    )
