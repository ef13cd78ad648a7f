"""`t2fast sample`: draw samples from a model. Samples go to stdout, everything else to stderr."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from t2fast.cli.sampling import add_endpoint, add_engine, add_sampling, endpoint, engine, say_memory, settings
from t2fast.decode.endpoint import Served, Spent
from t2fast.decode.engine import Engine
from t2fast.decode.opening import load
from t2fast.decode.prompts import Problem, problems
from t2fast.decode.request import Sampling
from t2fast.decode.samples import Finished, Samples
from t2fast.progress import Bar
from t2fast.text import clean

_EXAMPLES = """examples:
  t2fast sample SmolLM2-135M.gguf --prompt "The capital of France is" -k 64 --seed 0
  t2fast sample ./pythia-70m --prompt "2 + 2 =" -k 256 --max-tokens 4 --json > samples.jsonl
  t2fast sample HuggingFaceTB/SmolLM2-135M-Instruct --chat --prompt "Name a prime." --temperature 0.7
  t2fast sample model.gguf --prompts-file problems.jsonl -k 16 --json
  t2fast sample model.gguf --prompt "2 + 2 =" -k 4096 --device cuda
  t2fast sample my-model --endpoint http://localhost:8000/v1 --prompt "2 + 2 =" -k 64

A prompts file has one JSON object a line: {"prompt": ...} with text, a list of tokens or, with --chat, a
list of messages, and if wanted {"problem": ...}, its id (else its line, from 0). Sample i of a problem
depends on the seed, the problem's id and i alone, never on -k, the other problems or --threads.
"""
_BATCH = {"cpu": 256, "cuda": 16384, "endpoint": 4096}
"""Samples in a batch of problems: enough to fill the engine, few enough that finished ones are soon out."""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """Add the command `sample`."""
    parser = subparsers.add_parser(
        "sample",
        help="draw k samples from each prompt",
        description="Draw k samples from each prompt, reproducibly, on the CPU or a GPU.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "model", help="Hugging Face folder, .gguf file or hub id (org/model[/file.gguf][@revision])"
    )
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--prompt", help="the prompt")
    source.add_argument("--prompts-file", type=Path, metavar="JSONL", help="many prompts; - reads stdin")
    parser.add_argument("-k", type=int, default=64, help="samples for each prompt (default: %(default)s)")
    parser.add_argument("--first-sample", type=int, default=0, metavar="I", help="go on from sample I")
    add_sampling(parser, 64)
    add_engine(parser)
    add_endpoint(parser)
    parser.add_argument("--cache", choices=["fp8"], help="on a GPU: keys and values of samples in 8 bits")
    parser.add_argument(
        "--json", action="store_true", help="one JSON object a line, ordered by problem and sample"
    )
    parser.set_defaults(run=run)
    return parser


def run(args: argparse.Namespace) -> int:
    """Run the command; returns the exit status (130 after Ctrl-C)."""
    found = problems({0: args.prompt}) if args.prompts_file is None else _read(args.prompts_file)
    server = endpoint(args)
    if server is not None:
        return _ask(Served(server, args.model), found, args)
    say_memory(args.model, args, args.k * len(found), args.max_tokens)
    model = load(args.model, cache=args.cache, **engine(args))
    started, samples, tokens = time.perf_counter(), 0, 0
    status = 0
    alone = args.k == 1 and len(found) == 1 and args.device == "cpu" and isinstance(found[0].prompt, str)
    streams = alone and not args.json and sys.stdout.isatty()
    for batch in _batches(found, args.k, _BATCH[args.device]):
        drawn = _sample(model, batch, args, _show if streams else None)
        if streams:
            print()
        for row in drawn.table.iter_rows(named=True):
            if row["finish_reason"] == "cancelled":
                continue
            if not streams:
                print(_json(row) if args.json else _plain(row))
            samples += 1
            tokens += len(row["tokens"])
        sys.stdout.flush()
        if drawn.interrupted:
            status = 130
            break
    seconds = time.perf_counter() - started
    rate = tokens / max(seconds, 1e-9)
    print(
        f"{samples:,} samples, {tokens:,} tokens in {seconds:.1f} s ({rate:,.0f}/s); {model}",
        file=sys.stderr,
    )
    return status


def _ask(model: Served, found: list[Problem], args: argparse.Namespace) -> int:
    """Draw the samples from a server; as `run`."""
    began, samples = time.perf_counter(), 0
    spent: list[Spent] = []
    whole = True
    sampling = Sampling(**settings(args))
    k = 1 if sampling.temperature == 0 else args.k
    if k < args.k:
        print("temperature 0: one sample of each problem, for all would be the same", file=sys.stderr)
    order = {problem.id: place for place, problem in enumerate(found)}
    with Bar(k * len(found), None, "samples", counted=True) as bar:
        for batch in _batches(found, k, _BATCH["endpoint"]):
            drawn: list[Finished] = []

            def keep(one: Finished, drawn: list[Finished] = drawn) -> bool:
                drawn.append(one)
                bar.advance(1)
                return False

            try:
                whole = model.each(
                    {problem.id: problem.prompt for problem in batch},
                    keep,
                    sampling,
                    k=args.first_sample + k,
                    have=[range(args.first_sample)] * len(batch),
                    chat=args.chat,
                    spent=spent.append,
                )
            finally:  # what came before a server gave up is paid for
                for one in sorted(drawn, key=lambda one: (order[one.problem], one.sample)):
                    row = asdict(one)
                    print(_json(row) if args.json else _plain(row))
                sys.stdout.flush()
            samples += len(drawn)
            if not whole:
                break
    seconds = time.perf_counter() - began
    retries = sum(one.retries for one in spent)
    print(
        f"{samples:,} samples by {len(spent):,} requests"
        + (f" ({retries:,} more failed and were sent again)" if retries else "")
        + f", {sum(one.prompt_tokens or 0 for one in spent):,} prompt and "
        f"{sum(one.output_tokens or 0 for one in spent):,} output tokens in {seconds:.1f} s; {model}",
        file=sys.stderr,
    )
    return 0 if whole else 130


def _show(text: str) -> None:
    print(clean(text), end="", flush=True)


def _sample(
    model: Engine, batch: list[Problem], args: argparse.Namespace, stream: Callable[[str], None] | None
) -> Samples:
    return model.sample(
        {problem.id: problem.prompt for problem in batch},
        k=args.k,
        first_sample=args.first_sample,
        chat=args.chat,
        stream=stream,
        progress=False if stream is not None else None,
        **settings(args),
    )


def _batches(found: list[Problem], k: int, samples: int) -> Iterator[list[Problem]]:
    size = max(1, samples // max(k, 1))
    for start in range(0, len(found), size):
        yield found[start : start + size]


def _read(path: Path) -> list[Problem]:
    text = sys.stdin.read() if str(path) == "-" else path.read_text("utf-8")
    pairs = []
    for number, line in enumerate(text.splitlines()):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise ValueError(f"{path}, line {number + 1}: not JSON ({error})") from error
        if not isinstance(row, dict) or "prompt" not in row:
            raise ValueError(
                f'{path}, line {number + 1}: expected an object with "prompt", found {line[:60]!r}'
            )
        pairs.append((row.get("problem", number), row["prompt"]))
    return problems(pairs)


def _json(row: dict[str, Any]) -> str:
    keys = ("problem", "sample", "text", "finish_reason", "logprob")
    return json.dumps({key: row[key] for key in keys}, ensure_ascii=False)


def _plain(row: dict[str, Any]) -> str:
    end = row["finish_reason"] + ("" if row["logprob"] is None else f", log p {row['logprob']:.2f}")
    header = f"── problem {row['problem']}, sample {row['sample']} ({end})"
    text = row["text"] if row["text"] is not None else " ".join(map(str, row["tokens"]))
    # What a model says is no order to a terminal; a file gets it as it is.
    return clean(f"{header}\n{text}") if sys.stdout.isatty() else f"{header}\n{text}"
