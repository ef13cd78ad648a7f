"""What commands that draw samples share: how tokens are chosen, and how the model is opened."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from t2fast.decode.endpoint import Endpoint


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
    add(
        "--temperature",
        type=float,
        default=1.0,
        help="0: greedy (default: %(default)s; what generation_config.json says of this and the next three "
        "is not used)",
    )
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


def add_endpoint(command: Any) -> None:
    """Add which server has the model, if it is not opened here, and how that is asked."""
    group = command.add_argument_group("a server that runs already (vLLM, SGLang, llama.cpp, a hosted one)")
    add = group.add_argument
    add("--endpoint", metavar="URL", help="its address, as http://localhost:8000/v1; it names the models")
    add(
        "--key-env",
        default="T2FAST_API_KEY",
        metavar="NAME",
        help="variable of the environment that has the key (default: %(default)s)",
    )
    add("--concurrency", type=int, default=8, help="most requests at once (default: %(default)s)")
    add("--per-request", type=int, default=16, help="most samples a request (default: %(default)s)")
    add("--requests-per-minute", type=float, help="most requests begun in a minute (default: no limit)")
    add("--retries", type=int, default=8, help="of a request that fails (default: %(default)s)")
    add("--timeout", type=float, default=600.0, help="seconds without an answer (default: %(default)s)")
    add("--request", type=_fields, metavar="JSON", help="fields to add to each request; null leaves one out")


def endpoint(arguments: argparse.Namespace) -> Endpoint | None:
    """The server, if one is named."""
    if arguments.endpoint is None:
        return None
    from t2fast.decode.endpoint import Endpoint

    usual = {"device": "cpu", "dtype": "auto"}
    if given := [name for name, value in engine(arguments).items() if value != usual.get(name)]:
        raise ValueError(f"--{given[0]} is for models that are opened here: leave it out with --endpoint")
    return Endpoint(
        arguments.endpoint,
        key_env=arguments.key_env,
        concurrency=arguments.concurrency,
        per_request=arguments.per_request,
        retries=arguments.retries,
        timeout=arguments.timeout,
        requests_per_minute=arguments.requests_per_minute,
        request=arguments.request or {},
    )


def _fields(text: str) -> dict[str, Any]:
    """A JSON object."""
    try:
        found = json.loads(text)
    except json.JSONDecodeError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no JSON: {error}") from error
    if not isinstance(found, dict):
        raise argparse.ArgumentTypeError(f'{text!r} is no object, as {{"top_k": 40}}')
    return found


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
