"""Every benchmark in one run, one Markdown table: `python -m benches [NAME ...] [--quick]`.

Each is a script beside this file and runs in a process of its own, one after the other; its rows go to the
table as they come, what else it says goes below. By default: passk, compare, fits, plan and tables; by name
also decode, and validation, a table of its own that needs `--data FOLDER` and an hour. The exit status is
that of the first benchmark that refused its own numbers.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from benches import _bench

FOLDER = Path(__file__).parent
QUICK = {
    "passk": [],
    "fits": ["--quick"],
    "plan": [],
    "compare": [],
    "tables": ["--rows", "1e6", "--peer-rows", "1e6"],
    "decode": ["--quick"],
    "validation": ["--splits", "2", "--draws", "40"],
}
DEFAULT = ["passk", "compare", "fits", "plan", "tables"]


def stream(name: str, options: list[str]) -> tuple[list[str], int]:
    """Run one benchmark, print its rows as they come; what else it said, and its exit status."""
    said: list[str] = []
    command = [sys.executable, "-u", str(FOLDER / f"{name}.py"), *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        for line in map(str.rstrip, child.stdout):
            if not line.startswith("|"):
                said.append(line)
            elif line not in _bench.HEADER.splitlines():
                print(line, flush=True)
    return [line for line in said if line], child.returncode


def main() -> int:
    """Run the benchmarks named; 0, or the first status that is not."""
    parser = argparse.ArgumentParser(
        prog="python -m benches", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(QUICK))
    parser.add_argument("--data", type=Path, help="folder of published measurements, for validation")
    parser.add_argument("--quick", action="store_true", help="smaller cases where a benchmark has them")
    arguments = parser.parse_args()
    unknown = [name for name in arguments.names if name not in QUICK]
    if unknown:
        parser.error(f"no benchmark is called {', '.join(unknown)}; there are {', '.join(QUICK)}")
    if "validation" in arguments.names and arguments.data is None:
        parser.error("validation needs --data FOLDER: see benches/validation.py for what lies there")
    print(_bench.HEADER, flush=True)
    notes: list[str] = []
    status = 0
    for name in arguments.names or DEFAULT:
        options = QUICK[name] if arguments.quick else []
        if name == "validation":
            options = [str(arguments.data), *options]
            print(flush=True)  # its columns are others
        said, ended = stream(name, options)
        notes += [f"{name}: {line}" for line in said]
        if ended:
            notes.append(f"{name}: ended with status {ended}")
            status = status or ended
    print("", *notes, sep="\n")
    return status


if __name__ == "__main__":
    sys.exit(main())
