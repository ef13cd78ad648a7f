"""What a file holds, told from its columns."""

from __future__ import annotations

import os
from collections.abc import Mapping

from t2fast.tables import fields as v
from t2fast.tables.sources import FORMATS, open_source

_KINDS = {
    "counts": (v.N_CORRECT, v.CORRECT),
    "likelihoods": (v.LOG_LIKELIHOOD, v.P),
    "losses": (v.LOSS,),
    "accuracies": (v.ACCURACY,),
}


def kind_of(path: str, columns: Mapping[str, str] | None) -> str:
    """`counts`, `likelihoods`, `losses` or `accuracies`: the first of them that a column tells.

    Counts where none does: what other tools wrote tells itself when it is read.
    """
    known = path.lower().removesuffix(".gz").endswith(tuple(FORMATS))
    if not known or not os.path.isfile(path):
        return "counts"
    # What the caller maps comes before what is there.
    for present in (set(columns or ()), set(open_source(path).columns)):
        for kind, fields in _KINDS.items():
            if present & {name for field in fields for name in (field.name, *field.aliases)}:
                return kind
    return "counts"
