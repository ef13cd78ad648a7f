"""Models of tools that do not name them: by the files that their results are in."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence

from t2fast.readers.measured import Measured, Problems, Tally

_SUFFIXES = re.compile(
    r"([._-]?(eval_results|evalperf_results(\.brief)?|results|eval_all|samples))*\.(jsonl?|json)(\.gz)?$",
    re.IGNORECASE,
)


def file_model(path: str) -> str:
    """What a file's model is called by its name, or by its folder's where the name says nothing."""
    stem = _SUFFIXES.sub("", os.path.basename(path)).strip("._-")
    return stem or os.path.basename(os.path.dirname(os.path.abspath(path))) or "model"


def measured_by_file(
    paths: Sequence[str], model: str | None, counts: Callable[[str, Tally], Problems]
) -> Measured:
    """The runs in `paths`, one a file: several are models named by their files, or all runs of `model`."""
    tally, named = Tally(), len(paths) > 1 and model is None
    for path in paths:
        run = {"model": file_model(path)} if named else {}
        tally.add(path, counts(path, tally), **run)
    if named:
        tally.note("models are called as their files are, since these do not name them")
    return tally.measured(paths)
