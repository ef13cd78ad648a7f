"""What commands that price on hardware share: which chip, at what price, and how much of it is reached."""

from __future__ import annotations

import argparse
import math
from typing import Any

from t2fast.cli.options import size
from t2fast.costs.hardware import MBU, MFU, MOST_CHIPS, Machine, accelerator


def add_hardware(group: Any) -> None:
    """Add the chip and what is reached on it."""
    add = group.add_argument
    add("--gpu", metavar="NAME", help="H100, A100, TPU v5e, …")
    add("--usd-per-hour", type=float, metavar="USD", help="of one such chip")
    add("--batch", type=size, default=64, metavar="B", help="samples in flight (default: 64)")
    add(
        "--chips",
        type=int,
        metavar="N",
        help="that share a model; more if it does not fit (default: 1, or what --latency needs)",
    )
    add(
        "--max-chips",
        type=int,
        metavar="N",
        help=f"of --latency without --chips: the most that may share a model (default: {MOST_CHIPS})",
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
    for name in ("usd_per_hour", "batch", "chips", "max_chips", "cache_bytes", "mfu", "mbu", "accelerators"):
        if name in arguments.given:
            raise ValueError(
                f"--{name.replace('_', '-')} is of hardware: say which by --gpu, or leave it out"
            )


def most_chips(arguments: argparse.Namespace) -> int | None:
    """How many chips may share a model to hold a latency; None where their number is given, or no latency."""
    if arguments.max_chips is not None:
        if arguments.chips is not None:
            raise ValueError("--chips already says how many share a model: leave out --max-chips")
        if arguments.latency is None:
            raise ValueError("--max-chips is of a latency: give --latency, or leave it out")
    if arguments.latency is None or arguments.chips is not None:
        return None
    most: int | None = arguments.max_chips
    return MOST_CHIPS if most is None else most


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
    for name in ("usd_per_hour", "batch", "chips", "max_chips", "mfu", "mbu"):
        value = getattr(arguments, name)
        if value is not None and not (math.isfinite(value) and value > 0):
            raise ValueError(f"--{name.replace('_', '-')} is {value!r}: --gpu needs a positive number there")
    if arguments.batch < 1:
        raise ValueError(f"--batch is {arguments.batch!r}: at least one sample is in flight")
    chip = accelerator(arguments.gpu, arguments.accelerators)
    reached = {"mfu": arguments.mfu, "mbu": arguments.mbu}
    return Machine(chip, arguments.chips or 1, arguments.usd_per_hour, **reached)
