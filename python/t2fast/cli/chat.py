"""`t2fast chat`: talk to a model. Answers go to stdout as they are drawn, everything else to stderr."""

from __future__ import annotations

import argparse
import sys
import warnings
from pathlib import Path

from t2fast.cli.sampling import say_memory
from t2fast.decode.engine import Engine
from t2fast.decode.opening import load
from t2fast.decode.request import Sampling
from t2fast.text import clean

_EXAMPLES = """examples:
  t2fast chat SmolLM2-135M-Instruct.gguf
  t2fast chat HuggingFaceTB/SmolLM2-135M-Instruct --system "Be brief." --temperature 0.7

An empty line or the end of the input (Ctrl-D) leaves; Ctrl-C cuts an answer short. Each answer depends on
--seed, its place in the conversation and what was said before, and on nothing else.
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """Add the command `chat`."""
    parser = subparsers.add_parser(
        "chat",
        help="talk to a model",
        description="Talk to a chat model on the CPU, its answers shown as they are drawn.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "model", help="Hugging Face folder, .gguf file or hub id (org/model[/file.gguf][@revision])"
    )
    parser.add_argument("--system", help="what the model is told before the conversation")
    parser.add_argument("--seed", type=int, default=0, help="default: %(default)s")
    parser.add_argument("--max-tokens", type=int, default=512, help="longest answer (default: %(default)s)")
    parser.add_argument("--temperature", type=float, default=0.7, help="0: greedy (default: %(default)s)")
    parser.add_argument("--top-p", type=float, default=0.95, help="default: %(default)s")
    parser.add_argument("--threads", type=int, help="of the CPU (default: the processor's cores)")
    parser.add_argument("--tokenizer", type=Path, help="tokenizer.json for a model that has none")
    parser.set_defaults(run=run)
    return parser


def run(args: argparse.Namespace) -> int:
    """Run the command; returns the exit status."""
    say_memory(args.model, args, 1, args.max_tokens)
    engine = load(args.model, threads=args.threads, tokenizer=args.tokenizer)
    print(engine, file=sys.stderr)
    sampling = Sampling(
        temperature=args.temperature, top_p=args.top_p, max_tokens=args.max_tokens, seed=args.seed
    )
    messages = [] if args.system is None else [{"role": "system", "content": args.system}]
    while True:
        if sys.stdin.isatty():
            print("> ", end="", file=sys.stderr, flush=True)
        line = sys.stdin.readline()
        if not line.strip():
            if not line and sys.stdin.isatty():
                print(file=sys.stderr)
            return 0
        messages.append({"role": "user", "content": line.strip()})
        text = _answer(engine, messages, sampling)
        if text:
            messages.append({"role": "assistant", "content": text})
        else:  # templates want questions and answers by turns
            messages.pop()


def _answer(engine: Engine, messages: list[dict[str, str]], sampling: Sampling) -> str:
    """The answer, shown as it is drawn; what cut it short goes to stderr."""
    positions = engine.core.model.max_positions
    text = engine.chat_text(messages)
    room = positions - len(engine.tokenizer.encode(text, special=False, name="the conversation"))
    if room < 1:
        raise ValueError(f"the conversation fills the {positions:,} positions of the model: begin a new one")
    longest = min(sampling.max_tokens, room)
    # The answer's place is its problem: the same question asked again is answered anew.
    asked = [(len(messages), list(messages))]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="sampling was interrupted")
        drawn = engine.sample(
            asked, sampling, k=1, chat=True, stream=_show, progress=False, max_tokens=longest
        )
    print(flush=True)
    row = drawn.table.row(0, named=True)
    if drawn.interrupted:
        print("(cut short)", file=sys.stderr)
    elif row["finish_reason"] == "length":
        why = f"--max-tokens {longest}" if longest < room else f"the model's {positions:,} positions"
        print(f"(cut at {why})", file=sys.stderr)
    return str(row["text"])


def _show(text: str) -> None:
    # What a model says is no order to a terminal; a file gets it as it is.
    print(clean(text) if sys.stdout.isatty() else text, end="", flush=True)
