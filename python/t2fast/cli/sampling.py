"""What commands that draw samples share: how tokens are chosen, and how the model is opened."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any


def add_sampling(command: Any, max_tokens: int | None) -> None:
    """Add how tokens are chosen and when a sample ends; without `max_tokens`, as the task has it."""
    default = "" if max_tokens is not None else " (default: the task's)"
    add = command.add_argument
    add("--seed", type=int, default=0, help="of the samples (default: %(default)s)")
    add(
        "--max-tokens",
        type=int,
        default=max_tokens,
        help=f"longest sample{default or ' (default: %(default)s)'}",
    )
    add("--temperature", type=float, default=1.0, help="0: greedy (default: %(default)s)")
    add("--top-k", type=int, default=0, help="keep the TOP_K likeliest tokens (default: all)")
    add("--top-p", type=float, default=1.0, help="then the fewest of mass TOP_P (default: all)")
    add("--min-p", type=float, default=0.0, help="then those of MIN_P times the best (default: all)")
    add("--stop", action="append", metavar="TEXT", help=f"end a sample here{default}; repeatable")
    add("--chat", action="store_true", help="put prompts through the model's chat template")


def settings(arguments: argparse.Namespace) -> dict[str, Any]:
    """The settings that were given, as fields of `t2fast.decode.request.Sampling`."""
    names = ("seed", "max_tokens", "temperature", "top_k", "top_p", "min_p", "stop")
    return {name: getattr(arguments, name) for name in names if getattr(arguments, name) is not None}


def add_engine(command: Any) -> None:
    """Add how the model is opened."""
    add = command.add_argument
    add("--device", choices=["cpu", "cuda"], default="cpu", help="default: %(default)s")
    add("--threads", type=int, help="of the CPU (default: the processor's cores)")
    add("--dtype", choices=["auto", "float32", "bfloat16"], default="auto", help="arithmetic")
    add("--kernel", help="of the CPU: force avx512_bf16, avx512, avx2 or portable")
    add("--tokenizer", type=Path, help="tokenizer.json for a model that has none")


def engine(arguments: argparse.Namespace) -> dict[str, Any]:
    """How the model is to be opened, as arguments of `t2fast.decode.load`."""
    names = ("device", "threads", "dtype", "kernel", "tokenizer")
    return {name: getattr(arguments, name) for name in names}


def say_memory(model: str | Path, arguments: argparse.Namespace, samples: int, max_tokens: int) -> None:
    """Says on stderr what a model and its samples will take in memory, before it is loaded; of the CPU alone.

    Args:
        model: as for `t2fast.decode.load`.
        arguments: of `add_engine`.
        samples: that are asked for, of all prompts.
        max_tokens: longest sample.
    """
    from t2fast.decode.memory import memory_needed

    if getattr(arguments, "device", "cpu") == "cpu":
        names = ("dtype", "kernel")
        given = {
            name: getattr(arguments, name) for name in names if getattr(arguments, name, None) is not None
        }
        print(memory_needed(model, **given).line(samples, max_tokens), file=sys.stderr)
