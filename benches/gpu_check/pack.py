"""Put all that the check needs beside the repository's files into .gpu_check, and say how to run it.

    python -m benches.gpu_check.pack [--ahead PYTHON]

Needs the package installed, with the test extras, for models and what the CPU engine draws. PYTHON: one of
the version on the GPU machine, with torch and the Triton that is there; with it the kernels are compiled
beforehand (Triton's cache is of no use to another version of either).
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import tarfile
from pathlib import Path

from benches.gpu_check import bare

CACHE = Path("/tmp/gpu_check_triton")
"""Triton writes absolute paths into its cache: it has to lie in the same place over there."""
LIMIT = 64
COMMAND = (
    "tar -xJf .gpu_check/triton.tar.xz -C /tmp 2>/dev/null; PYTHONPATH=. TRITON_CACHE_DIR={cache} "
    "python3 -m benches.gpu_check --out $OUT --budget 440"
)


def main() -> None:
    """Models, kernels, sizes, command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--ahead", metavar="PYTHON", help="compile the kernels with this Python")
    args = parser.parse_args()
    library = next(bare.package().glob("_core*.so"), None)
    if library is None:
        raise SystemExit("t2fast is not installed here: run make test, or install the wheel, first")
    if (
        b"libpython3" in library.read_bytes()
    ):  # as cargo links it by itself; a wheel's core runs in any Python
        raise SystemExit(
            f"{library.name} is for this Python alone: install the wheel (make wheel) and pack again"
        )
    shutil.rmtree(bare.CARRIED, ignore_errors=True)
    (bare.CARRIED / "core").mkdir(parents=True)
    shutil.copy(library, bare.CARRIED / "core")
    bare.prepare()
    from benches.gpu_check import models

    models.make()
    if args.ahead:
        shutil.rmtree(CACHE, ignore_errors=True)
        environment = {**os.environ, "TRITON_CACHE_DIR": str(CACHE), "PYTHONPATH": str(bare.ROOT)}
        subprocess.run([args.ahead, "-m", "benches.gpu_check.ahead"], env=environment, check=True)
        with tarfile.open(bare.CARRIED / "triton.tar.xz", "w:xz") as tar:
            tar.add(CACHE, CACHE.name)  # whole: Triton 3.9 takes a kernel without its sources for none
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=bare.ROOT, capture_output=True, check=True).stdout
    tracked = [bare.ROOT / os.fsdecode(name) for name in listed.split(b"\0") if name]
    carried = [path for path in bare.CARRIED.rglob("*") if path.is_file()]
    size = sum(path.stat().st_size for path in [*tracked, *carried] if path.is_file()) / 2**20
    print(f"{size:.1f} MiB travel: the repository's files and .gpu_check (ignored by git).")
    if size > LIMIT:
        raise SystemExit(f"more than {LIMIT} MiB")
    print("There, in the root of the repository, with OUT set to a folder for results, 500 s:")
    print(COMMAND.format(cache=CACHE))


if __name__ == "__main__":
    main()
