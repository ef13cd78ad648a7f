"""`t2fast testbed`: small models trained, measured, fitted, planned, and the plan trained."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from t2fast.cli.options import command, print_json, show

_EXAMPLES = """  t2fast testbed small -o testbed
  t2fast testbed full --estimate
  t2fast testbed mine.toml -o testbed --workers 2
  t2fast testbed report -o testbed

SETTINGS is small, full or a TOML file with the same keys (t2fast testbed small --print shows them). Killed at
any moment and given again, the command continues. `report` says what the checkpoints that are ready show: how
well laws forecast overtrained models, the best size of a budget, what laws recommend."""


def add_parser(commands: Any) -> None:
    """Add the command `testbed`."""
    says = "train small models, measure them, fit laws, plan, and train the plan"
    parser = command(commands, "testbed", run, says, _EXAMPLES)
    add = parser.add_argument
    add("settings", metavar="SETTINGS", help="small, full, a TOML file, or report")
    add("-o", "--output", type=Path, metavar="FOLDER", help="the testbed's folder, new or to be continued")
    add("--workers", type=int, help="checkpoints at once, a thread each (default: the processor's cores)")
    add("--estimate", action="store_true", help="say what the grid will take here, and end")
    add("--print", action="store_true", help="print the preset's TOML, and end")


def run(arguments: argparse.Namespace) -> None:
    """Run the command."""
    from t2fast import testbed

    if arguments.settings == "report":
        if arguments.output is None:
            raise ValueError("-o FOLDER is missing: the testbed that the report is of")
        findings = testbed.find(arguments.output)
        show(arguments, findings.to_dict(), lambda: findings)
        return
    settings = testbed.read_settings(arguments.settings)
    if arguments.print:
        sys.stdout.write(testbed.settings_text(arguments.settings))
        return
    if arguments.estimate:
        found = testbed.estimate_seconds(settings)
        if arguments.json:
            print_json(found)
            return
        hours = found["seconds"] / 3600
        sys.stdout.write(
            f"{found['checkpoints']:.0f} checkpoints, {found['flops']:.3g} FLOPs: about {hours:.2g} hours of "
            f"training on one free core; two workers take half. Measuring and the loop come on top.\n"
        )
        return
    if arguments.output is None:
        raise ValueError("-o FOLDER is missing: where the testbed is to be kept")
    done = testbed.run_testbed(settings, arguments.output, workers=arguments.workers)
    show(arguments, done.to_dict(), lambda: done)
