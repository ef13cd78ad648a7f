"""`t2fast bench-model`: what this machine reaches with a model, for plans that are priced on it."""

from __future__ import annotations

import argparse
import csv
import io
import os
import time
from collections.abc import Iterator
from itertools import count
from typing import Any

from rich.console import Console, Group

from t2fast import atomic
from t2fast.cli.options import command, numbers, show
from t2fast.costs.hardware import Served, accelerator
from t2fast.costs.roofline import Step, fit_roofline
from t2fast.decode.engine import Engine
from t2fast.decode.opening import load
from t2fast.text import columns, line

_PROMPT = 16
_WORDS = {"flops": "arithmetic", "bandwidth": "bandwidth"}


def add_parser(commands: Any) -> None:
    """Add the command `bench-model`."""
    parser = command(
        commands,
        "bench-model",
        run,
        "time a model here and fit the machine's arithmetic and bandwidth (its roofline)",
        "  t2fast bench-model SmolLM2-135M.gguf\n"
        "  t2fast bench-model SmolLM2-135M.gguf --name here -o here.csv\n"
        "  t2fast plan --usd 500 --queries 1e6 --gpu here --accelerators here.csv --mfu 1 --mbu 1 \\\n"
        "      --usd-per-hour 0.2\n"
        "\nA step is timed at several numbers of samples, and prompts of several lengths: few rows are\n"
        "bound by bandwidth, many by arithmetic.",
    )
    parser.add_argument("model", help="Hugging Face folder, .gguf file or hub id")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu", help="default: %(default)s")
    parser.add_argument("--threads", type=int, help="of the CPU (default: the processor's cores)")
    parser.add_argument(
        "--rows", type=numbers, default=[1, 4, 16, 64], metavar="R,...", help="samples at once"
    )
    parser.add_argument(
        "--prompts", type=numbers, default=[64, 256], metavar="P,...", help="tokens of prompts that are timed"
    )
    parser.add_argument("--steps", type=int, default=24, help="of decoding to time (default: %(default)s)")
    parser.add_argument("--repeats", type=int, default=3, help="runs, the fastest counts (default: 3)")
    parser.add_argument(
        "--gpu", metavar="NAME", help="a known chip, to say which share of its peak (MFU, MBU)"
    )
    parser.add_argument("--name", default="here", help="what the machine is called in -o (default: here)")
    parser.add_argument("-o", "--output", metavar="FILE.csv", help="keep it for `plan --accelerators`")


def run(arguments: argparse.Namespace) -> None:
    """Run the command."""
    if arguments.output is not None:
        atomic.check(arguments.output)
    chip = None if arguments.gpu is None else accelerator(arguments.gpu)
    for name in ("steps", "repeats", "rows", "prompts"):
        value = getattr(arguments, name)
        for one in value if isinstance(value, list) else [value]:
            if not (one >= 1 and one == int(one)):
                raise ValueError(f"--{name} is {one:g}: give a whole number of at least 1")
    engine = load(arguments.model, device=arguments.device, threads=arguments.threads)
    description = engine.core.model
    # Before anything is timed; the token that is sampled needs a position too.
    longest = max(arguments.prompts)
    if longest >= description.max_positions:
        raise ValueError(
            f"--prompts is {longest:g}, but the model was made for {description.max_positions} positions: "
            f"give shorter ones, up to {description.max_positions - 1}"
        )
    element = 4 if engine.core.dtype == "float32" else 2
    model = Served(
        active_params=description.n_params,
        n_params=description.n_params,
        cache_bytes=2 * description.layers * description.kv_heads * description.head_dim * element,
        weight_bytes=engine.core.weight_bytes / description.n_params,
    )
    with Console(stderr=True).status("timing"):
        numbers = count()
        steps = [("decode", _decode(engine, numbers, int(rows), arguments)) for rows in arguments.rows]
        steps += [
            ("prompt", _prompt(engine, numbers, int(tokens), arguments)) for tokens in arguments.prompts
        ]
    fitted = fit_roofline(model, [step for _, step in steps])
    row = {
        "name": arguments.name,
        "tflops": fitted.flops / 1e12,
        "tb_per_s": fitted.bandwidth / 1e12,
        "gb": _memory(arguments.device) / 1e9,
    }
    shares = {
        "mfu": None if chip is None else fitted.flops / chip.flops,
        "mbu": None if chip is None else fitted.bandwidth / chip.bandwidth,
    }
    table = columns("", "rows", "a step", "rows/s", "roofline", left=("",))
    for what, step in steps:
        expected = fitted.seconds(model, step)
        table.add_row(
            what,
            f"{step.rows:,.0f}",
            f"{1e3 * step.seconds:.2f} ms",
            f"{step.rows / step.seconds:,.0f}",
            f"{step.rows / expected:,.0f}",
        )
    lines = [
        f"{row['tflops'] * 1e3:.4g} GFLOP/s and {row['tb_per_s'] * 1e3:.4g} GB/s: "
        f"off by a factor of {fitted.off[0]:.2f} at the median, {fitted.off[1]:.2f} at the most"
    ]
    for rate in fitted.at_least:
        more = "many" if rate == "flops" else "few"
        lines.append(f"! no step was bound by {_WORDS[rate]}: it is at least this; time {more} rows (--rows)")
    if chip is not None:
        mfu, mbu = (100 * fitted.flops / chip.flops, 100 * fitted.bandwidth / chip.bandwidth)
        lines.append(f"of a {chip.name}: MFU {mfu:.3g}%, MBU {mbu:.3g}%")
    if arguments.output is not None:
        text = io.StringIO()
        writer = csv.DictWriter(text, row)
        writer.writeheader()
        writer.writerow(row)
        atomic.write(arguments.output, [text.getvalue().encode()])
        lines.append(
            f"kept in {arguments.output}: plan with --accelerators {arguments.output} --gpu "
            f"{arguments.name} --mfu 1 --mbu 1"
        )
    data = {
        **row,
        **shares,
        "at_least": list(fitted.at_least),
        "off": list(fitted.off),
        "steps": [{"what": what, "rows": step.rows, "seconds": step.seconds} for what, step in steps],
    }
    show(arguments, data, lambda: Group(line(repr(engine)), table, *map(line, lines)))


def unread_prompt(number: int, vocab: int, tokens: int) -> list[int]:
    """The prompt of a number, which begins like no other: an engine may keep what it has read."""
    begin = [number % vocab, number // vocab % vocab]
    return (begin + [i % vocab for i in range(tokens)])[:tokens]


def _decode(engine: Engine, numbers: Iterator[int], rows: int, arguments: argparse.Namespace) -> Step:
    """The first token comes with the prompt; what more tokens take on top is theirs.

    Steps are doubled until they take as long as half of the prompt: less is lost in noise. Not timed is the
    first run, which waits for memory and threads, and would make steps after it look free.
    """
    steps: int = arguments.steps
    room = engine.core.model.max_positions - _PROMPT - 1
    _seconds(engine, numbers, _PROMPT, rows, 1 + steps, 1)
    first = float("inf")
    while True:
        first = min(first, _seconds(engine, numbers, _PROMPT, rows, 1, arguments.repeats))
        more = _seconds(engine, numbers, _PROMPT, rows, 1 + steps, arguments.repeats)
        if more > 1.5 * first or steps >= room:
            break
        steps = min(2 * steps, room)
    if more <= first:
        raise ValueError(
            f"{steps} steps of {rows} samples took no longer than their prompt, which is noise: time them "
            "more often by --repeats"
        )
    return Step(rows, steps / 2, (more - first) / steps)


def _prompt(engine: Engine, numbers: Iterator[int], tokens: int, arguments: argparse.Namespace) -> Step:
    return Step(tokens, 0.0, _seconds(engine, numbers, tokens, 1, 1, arguments.repeats))


def _seconds(
    engine: Engine, numbers: Iterator[int], prompt: int, rows: int, tokens: int, repeats: int
) -> float:
    """The fastest of some runs: what else the machine does only adds to them."""
    best = float("inf")
    for _ in range(repeats):
        ids = [unread_prompt(next(numbers), engine.core.model.vocab, prompt)]
        start = time.perf_counter()
        engine.sample(ids, k=rows, max_tokens=tokens, stop_tokens=(), progress=False)
        best = min(best, time.perf_counter() - start)
    return best


def _memory(device: str) -> float:
    """Bytes of the device."""
    if device == "cuda":
        import torch

        return float(torch.cuda.get_device_properties(0).total_memory)
    return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
