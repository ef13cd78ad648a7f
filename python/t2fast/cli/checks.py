"""A check that errs, as commands take it."""

from __future__ import annotations

import argparse
from typing import Any

from t2fast.estimators.verifier import Verifier


def add_check(parser: Any, says: str) -> None:
    """Add the options of a check that errs; `says` what follows from it."""
    group = parser.add_argument_group("a check that errs", says)
    group.add_argument("--true-positive", type=float, metavar="T", help="share of right samples accepted")
    group.add_argument("--false-positive", type=float, metavar="F", help="share of wrong samples accepted")
    group.add_argument(
        "--labelled",
        metavar="FILE",
        help="estimate both rates from samples labelled by hand: columns correct and accepted",
    )
    group.add_argument(
        "--harm",
        type=float,
        metavar="H",
        help="cost of a wrong answer, in right ones (default: 1)",
    )


def check_of(arguments: argparse.Namespace) -> Verifier | None:
    """The check, if its rates are given."""
    t, f = arguments.true_positive, arguments.false_positive
    if arguments.labelled is not None:
        if t is not None or f is not None:
            raise ValueError(
                "--labelled estimates both rates: leave out --true-positive and --false-positive"
            )
        return Verifier.from_labels(arguments.labelled, seed=getattr(arguments, "seed", 0))
    if t is None and f is None:
        if arguments.harm is not None:
            raise ValueError("--harm is of wrong answers: say how the check errs, or leave it out")
        return None
    if t is None or f is None:
        missing = "true" if t is None else "false"
        raise ValueError(f"--{missing}-positive is missing: a check that errs has both rates")
    return Verifier(t, f)
