"""`t2fast train`: a corpus in, a small model in a Hugging Face folder out."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from t2fast.cli.options import command, show, size
from t2fast.text import line

_EXAMPLES = """  t2fast train corpus.jsonl --tokens 1M -o model
  t2fast train texts/ --family llama --width 64 --layers 2 --heads 2 --tokens 2M -o model
  t2fast train --generate 5M --width 32 --tokens 2M -o small
  t2fast train corpus.jsonl --tokens 1M --unique-tokens 50k -o repeated

A .txt file is a document; of .jsonl, .json and .parquet files each row's `text` is one. What is
generated has the skills of the synthetic tasks and none of the problems of their seed 0. Killed at any moment
and given again, the command continues and ends with the same bits. `t2fast evaluate --model MODEL` takes what
it makes."""


def add_parser(commands: Any) -> None:
    """Add the command `train`."""
    parser = command(commands, "train", run, "train a small model, resumably", _EXAMPLES)
    add = parser.add_argument
    add("corpus", nargs="*", type=Path, help="files of text or JSON Lines, or folders of such")
    add("--generate", type=size, metavar="TOKENS", help="write so much of a corpus here, in place of files")
    add("-o", "--output", required=True, type=Path, metavar="MODEL", help="the model's folder")
    add("--tokens", required=True, type=size, metavar="D", help="tokens to see")
    add("--family", default="open_lm", help="open_lm, llama or qwen3 (default: %(default)s)")
    for name, default, says in (
        ("width", 64, "of the residual stream"),
        ("layers", 2, "of attention and feed-forward"),
        ("heads", 2, "of attention"),
        ("context", 64, "tokens of a sequence"),
        ("vocab", 512, "tokens of the tokenizer that is trained on the corpus"),
        ("batch", 16, "sequences of a step"),
        ("seed", 0, "of the first weights and the order of the data"),
    ):
        add(f"--{name}", type=int, default=default, help=f"{says} (default: %(default)s)")
    add("--lr", type=float, default=3e-3, help="peak learning rate (default: %(default)s)")
    add("--untied", action="store_true", help="an output matrix of its own, not the embedding's")
    add("--tokenizer", type=Path, metavar="FILE", help="a tokenizer.json to use, in place of training one")
    add("--unique-tokens", type=size, metavar="U", help="read these alone, again and again")
    add("--device", choices=["cpu", "cuda"], default="cpu", help="default: %(default)s")
    add("--threads", type=int, help="of the CPU (default: torch's)")
    add("--save-every", type=int, metavar="STEPS", help="save the state so often (default: by the clock)")


def run(arguments: argparse.Namespace) -> None:
    """Run the command."""
    from t2fast import training

    corpus, tokenizer = _corpus(arguments)
    shape = training.Shape(
        arguments.family,
        arguments.width,
        arguments.layers,
        arguments.heads,
        tokenizer.get_vocab_size(),
        arguments.context,
        not arguments.untied,
    )
    recipe = training.Recipe(arguments.tokens, arguments.batch, arguments.lr, seed=arguments.seed)
    unique = arguments.unique_tokens
    try:
        done = training.train(
            corpus,
            tokenizer.to_str(),
            shape,
            recipe,
            arguments.output,
            unique_tokens=None if unique is None else int(unique),
            device=arguments.device,
            threads=arguments.threads,
            save_every=arguments.save_every,
        )
    except KeyboardInterrupt:
        print(f"what was saved is kept in {arguments.output}: the same command goes on", file=sys.stderr)
        raise
    names = ("n_params", "n_tokens", "unique_tokens", "loss", "flops", "seconds")
    data = {"model": str(done.folder), **{name: getattr(done, name) for name in names}}
    words = (
        f"{done.folder}: {done.n_params:,} parameters, {done.n_tokens:,} tokens "
        f"({done.n_tokens / done.n_params:.3g} a parameter), held-out loss {done.loss:.4f}"
    )
    show(arguments, data, lambda: line(words))
    if arguments.tokenizer is None and shape.vocab < arguments.vocab:
        print(
            f"the vocabulary has {shape.vocab:,} tokens, not {arguments.vocab:,}: this text has no more",
            file=sys.stderr,
        )
    if done.n_tokens > done.unique_tokens:
        words = f"{done.unique_tokens:,} tokens, each read {done.n_tokens / done.unique_tokens:,.1f} times"
        if unique is None:
            words = f"the corpus has {words}: more text would be read less often"
        print(words, file=sys.stderr)


def _corpus(arguments: argparse.Namespace) -> tuple[Any, Any]:
    """The corpus and its tokenizer."""
    from t2fast import training
    from t2fast.tasks.synthetic import KINDS, synthetic
    from t2fast.training.tokens import read_tokenizer

    if bool(arguments.corpus) == (arguments.generate is not None):
        raise ValueError("name files, or --generate TOKENS: one of the two")
    if arguments.generate is not None:
        if arguments.tokenizer is not None:
            raise ValueError("--tokenizer is for files: what is generated has its own")
        asked = [synthetic(kind) for kind in KINDS]
        return training.generate_corpus(arguments.generate, vocab=arguments.vocab, unseen=asked)
    files = arguments.corpus
    if arguments.tokenizer is None:
        tokenizer = training.train_tokenizer(training.read_documents(files), arguments.vocab)
    else:
        tokenizer = read_tokenizer(arguments.tokenizer)
    return training.Corpus.of(training.cut(tokenizer, training.read_documents(files))), tokenizer
