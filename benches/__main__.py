"""Every benchmark in one run, one Markdown table: `python -m benches [NAME ...] [--quick]`.

Each is a script beside this file and runs in a process of its own, one after the other; its rows go to the
table as they come, what else it says goes below. By default: passk, compare, fits, plan and tables; by
name also decode, and harnesses, beyond, missing, bands, best, calibration, alarms and validation with tables
of their own; validation needs `--data FOLDER` and most of an hour. One of these alone takes its own options,
too (`python -m benches calibration --minutes 10`). The exit status is that of the first benchmark that
refused its own numbers.
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
    "harnesses": ["--documents", "4", "--repeats", "1"],
    "beyond": ["--quick"],
    "missing": ["--quick"],
    "bands": ["--quick"],
    "best": ["--quick"],
    "calibration": ["--quick"],
    "alarms": ["--quick"],
    "validation": ["--splits", "2", "--draws", "40"],
}
OWN_TABLES = ("harnesses", "beyond", "missing", "bands", "best", "calibration", "alarms", "validation")
DATA = {"beyond": ["--data"], "validation": []}
"""What stands before the folder of published tables."""
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
    parser.add_argument("--data", metavar="FOLDER", help="published measurements, for beyond and validation")
    parser.add_argument("--quick", action="store_true", help="smaller cases where a benchmark has them")
    arguments, further = parser.parse_known_args()
    if further and not (len(arguments.names) == 1 and arguments.names[0] in OWN_TABLES):
        parser.error(f"{' '.join(further)} is for one benchmark alone, of {', '.join(OWN_TABLES)}")
    unknown = [name for name in arguments.names if name not in QUICK]
    if unknown:
        parser.error(f"no benchmark is called {', '.join(unknown)}; there are {', '.join(QUICK)}")
    names = arguments.names or DEFAULT
    if "validation" in names and arguments.data is None:
        parser.error("validation needs --data FOLDER: benches/validation.py says what lies there")
    notes: list[str] = []
    status = 0
    for name in filter(OWN_TABLES.__contains__, names):
        options = [*further, *(QUICK[name] if arguments.quick else [])]
        if arguments.data and name in DATA:
            options = [*DATA[name], arguments.data, *options]
        command = [sys.executable, str(FOLDER / f"{name}.py"), *options]
        status = status or subprocess.run(command, check=False).returncode
    names = [name for name in names if name not in OWN_TABLES]
    if not names:
        return status
    print(_bench.HEADER, flush=True)
    for name in names:
        said, ended = stream(name, QUICK[name] if arguments.quick else [])
        notes += [f"{name}: {line}" for line in said]
        if ended:
            notes.append(f"{name}: ended with status {ended}")
            status = status or ended
    print("", *notes, sep="\n")
    return status


if __name__ == "__main__":
    sys.exit(main())
