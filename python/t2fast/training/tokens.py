"""Text to tokens: a small byte-level tokenizer trained on the corpus itself, or one that is there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from t2fast.tasks.files import rows

if TYPE_CHECKING:
    from tokenizers import Tokenizer

END = "<end>"
"""Begins every document, and so ends the one before: a sample that draws it is done."""

_TOGETHER = 1_000
"""Documents that are cut at once."""


def train_tokenizer(documents: Iterable[str], vocab: int = 512) -> Tokenizer:
    """A byte-level BPE tokenizer whose digits are tokens of their own and whose prompts begin with `END`.

    Args:
        documents: texts to learn merges from.
        vocab: tokens, the 256 bytes and `END` among them.

    Returns:
        A `tokenizers.Tokenizer`.

    Raises:
        ValueError: if `vocab` does not hold the bytes, or is too large for 16 bits.
    """
    import tokenizers
    from tokenizers import decoders, models, pre_tokenizers, processors, trainers

    if not 257 <= vocab <= 1 << 16:
        raise ValueError(f"a vocabulary has 257 (the bytes and {END}) to 65,536 tokens, not {vocab}")
    tokenizer = tokenizers.Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab,
        special_tokens=[END],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(documents, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{END} $A", special_tokens=[(END, tokenizer.token_to_id(END))]
    )
    return tokenizer


def read_tokenizer(path: str | Path) -> Tokenizer:
    """The tokenizer in a tokenizer.json that `train_tokenizer` made.

    Args:
        path: of the file.

    Returns:
        A `tokenizers.Tokenizer`.

    Raises:
        ValueError: if the file cannot be read, or `END` is not its first token.
    """
    import tokenizers

    try:
        tokenizer = tokenizers.Tokenizer.from_str(Path(path).read_text("utf-8"))
    except Exception as error:  # tokenizers raises bare Exceptions
        raise ValueError(f"{path} cannot be read as a tokenizer: {error}") from error
    if tokenizer.token_to_id(END) != 0:
        raise ValueError(f"the first token of {path} is not {END}, which ends a document: train one")
    return tokenizer


def cut(tokenizer: Tokenizer, documents: Iterable[str]) -> Iterator[list[int]]:
    """Cut documents into tokens.

    Args:
        tokenizer: of `train_tokenizer`.
        documents: texts.

    Returns:
        Each document's tokens, `END` first.
    """
    remaining = iter(documents)
    while some := list(islice(remaining, _TOGETHER)):
        for encoding in tokenizer.encode_batch_fast(some):
            yield encoding.ids


def read_documents(paths: Iterable[str | Path]) -> Iterator[str]:
    """The documents of local files: a .txt is one; of JSON Lines, JSON and Parquet each row's `text` is.

    Args:
        paths: files, or folders of such.

    Returns:
        Texts, one by one.

    Raises:
        ValueError: for a file that cannot be read, naming the row, and for a folder without files.
    """
    for path in map(Path, paths):
        if path.is_dir():
            files = [one for one in sorted(path.rglob("*")) if one.is_file() and not one.name.startswith(".")]
            if not files:
                raise ValueError(f"{path} holds no files: name a folder of .txt or .jsonl")
            yield from read_documents(files)
        elif path.suffix == ".txt":
            try:
                yield path.read_text("utf-8")
            except UnicodeDecodeError as error:
                raise ValueError(f"{path} is not UTF-8 text: {error}") from error
        else:
            yield from (row.text("text") for row in rows(path))
