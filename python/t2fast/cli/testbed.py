"""`t2fast testbed`: small models trained, measured, fitted, planned, and the plan trained."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from t2fast.cli.options import command, show
from t2fast.cli.plotting import add_plot, check, save
from t2fast.progress import duration
from t2fast.text import line

_EXAMPLES = """  t2fast testbed small -o testbed
  t2fast testbed full --estimate
  t2fast testbed mine.toml -o testbed --workers 2
  t2fast testbed gpu -o testbed
  t2fast testbed report -o testbed
  t2fast testbed report -o testbed --plot testbed.svg
  t2fast testbed pack -o testbed --to data

SETTINGS is small, full, gpu or a TOML file with the same keys (t2fast testbed small --print shows them).
Killed at any moment and given again, the command continues. `report` says what the checkpoints that are ready
show: how well laws forecast overtrained models, the best size of a budget, what laws recommend. `pack` keeps
the tables of one that is done as small files, for t2fast.data.testbed."""


def add_parser(commands: Any) -> None:
    """Add the command `testbed`."""
    says = "train small models, measure them, fit laws, plan, and train the plan"
    parser = command(commands, "testbed", run, says, _EXAMPLES)
    add = parser.add_argument
    add("settings", metavar="SETTINGS", help="small, full, gpu, a TOML file, report or pack")
    add("-o", "--output", type=Path, metavar="FOLDER", help="the testbed's folder, new or to be continued")
    add("--workers", type=int, help="checkpoints at once, a thread each (default: the cores; 1 on a GPU)")
    add("--device", choices=["cpu", "cuda"], help="in place of the settings'")
    add("--estimate", action="store_true", help="say what the grid will take here, and end")
    add("--ray", action="store_true", help="checkpoints as tasks of Ray, on all its nodes (t2fast[ray])")
    add("--share", metavar="I/N", help="the I-th of N shares of the grid alone, for jobs side by side")
    add("--to", type=Path, metavar="FOLDER", help="of pack: where the files go")
    add_plot(parser, "of report: what was measured, recommended, promised and kept")
    add("--print", action="store_true", help="print the preset's TOML, and end")


def run(arguments: argparse.Namespace) -> None:
    """Run the command."""
    from t2fast import testbed

    if arguments.settings in ("report", "pack"):
        if arguments.output is None:
            raise ValueError("-o FOLDER is missing: which testbed is meant")
        (_report if arguments.settings == "report" else _pack)(arguments)
        return
    if arguments.plot is not None:
        raise ValueError("--plot goes with `t2fast testbed report`: give -o and it once the testbed is there")
    settings = testbed.read_settings(arguments.settings)
    if arguments.device is not None:
        settings = replace(settings, device=arguments.device)
    if arguments.print:
        sys.stdout.write(testbed.settings_text(arguments.settings))
        return
    if arguments.estimate:
        found = testbed.estimate_seconds(settings)
        where = "one free core; two workers take half" if settings.device == "cpu" else "this GPU"
        words = (
            f"{found['checkpoints']:.0f} checkpoints, {found['flops']:.3g} FLOPs: about "
            f"{duration(found['seconds'])} of training on {where}. Measuring and the loop come on top."
        )
        show(arguments, found, lambda: line(words))
        return
    if arguments.output is None:
        raise ValueError("-o FOLDER is missing: where the testbed is to be kept")
    try:
        if arguments.share is not None:
            names = testbed.run_share(settings, arguments.output, *_parts(arguments.share))
            show(arguments, {"checkpoints": names}, lambda: f"{len(names)} checkpoints of the share are done")
            return
        done = testbed.run_testbed(settings, arguments.output, workers=arguments.workers, ray=arguments.ray)
    except KeyboardInterrupt:
        words = f"what is finished is kept in {arguments.output}: the same command goes on; `t2fast testbed"
        print(f"{words} report -o {arguments.output}` says what there is", file=sys.stderr)
        raise
    show(arguments, done.to_dict(), lambda: done)


def _parts(text: str) -> tuple[int, int]:
    """I and N of I/N."""
    share, slash, of = text.partition("/")
    if not (slash and share.isdecimal() and of.isdecimal()):
        raise ValueError(f"--share is {text!r}: write it as 3/40")
    return int(share), int(of)


def _report(arguments: argparse.Namespace) -> None:
    from t2fast import testbed

    check(arguments)
    findings = testbed.find(arguments.output)
    show(arguments, findings.to_dict(), lambda: findings)
    if arguments.plot:
        save(findings.figure(), arguments.plot)


def _pack(arguments: argparse.Namespace) -> None:
    from t2fast import testbed

    if arguments.to is None:
        raise ValueError("--to FOLDER is missing: where the files go")
    files = [str(path) for path in testbed.pack(arguments.output, arguments.to)]
    show(arguments, {"files": files}, lambda: "\n".join(files))
