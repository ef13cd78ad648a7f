"""What commands that price on hardware share: which chip, at what price, and how much of it is reached."""

from __future__ import annotations

import argparse
import math
from typing import Any

from t2fast.cli.options import size
from t2fast.costs.hardware import MBU, MFU, Machine, accelerator


def add_hardware(group: Any) -> None:
    """Add the chip and what is reached on it."""
    add = group.add_argument
    add("--gpu", metavar="NAME", help="H100, A100, TPU v5e, …")
    add("--usd-per-hour", type=float, metavar="USD", help="of one such chip")
    add("--batch", type=size, default=64, metavar="B", help="samples in flight (default: 64)")
    add(
        "--chips",
        type=int,
        default=1,
        metavar="N",
        help="that share a model; more if it does not fit (default: 1)",
    )
    add(
        "--cache-bytes",
        type=size,
        metavar="B",
        help="a token's keys and values; 0: leave them out (default: by N, as if no heads shared them)",
    )
    add("--mfu", type=float, default=MFU, help="share of the arithmetic reached (default: %(default)g)")
    add("--mbu", type=float, default=MBU, help="share of the bandwidth reached (default: %(default)g)")
    add("--accelerators", metavar="FILE", help="more chips: name, tflops, tb_per_s, gb")


def refuse_hardware(arguments: argparse.Namespace) -> None:
    """`ValueError` where the line says how a chip is used, but not which: nothing would come of it."""
    for name in ("usd_per_hour", "batch", "chips", "cache_bytes", "mfu", "mbu", "accelerators"):
        if name in arguments.given:
            raise ValueError(
                f"--{name.replace('_', '-')} is of hardware: say which by --gpu, or leave it out"
            )


def machine(arguments: argparse.Namespace) -> Machine:
    """The chip that was asked for.

    Args:
        arguments: of `add_hardware`, with a chip.

    Returns:
        The machine.

    Raises:
        ValueError: for a price that is missing, and for numbers that are not positive and finite.
    """
    if arguments.usd_per_hour is None:
        raise ValueError("--usd-per-hour is missing: what does one chip cost?")
    for name in ("usd_per_hour", "batch", "chips", "mfu", "mbu"):
        value = getattr(arguments, name)
        if not (math.isfinite(value) and value > 0):
            raise ValueError(f"--{name.replace('_', '-')} is {value!r}: --gpu needs a positive number there")
    chip = accelerator(arguments.gpu, arguments.accelerators)
    reached = {"mfu": arguments.mfu, "mbu": arguments.mbu}
    return Machine(chip, arguments.chips, arguments.usd_per_hour, **reached)
