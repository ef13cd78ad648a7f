"""A report: what was measured, fitted, planned, validated and chosen, as one page of HTML."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, get_args

from t2fast import atomic
from t2fast.choices import Choice
from t2fast.comparisons import Comparison
from t2fast.designs import Design
from t2fast.laws import AnyLaw, ForecastLaw, Law
from t2fast.plans import CheckedPlan, Plan, SpendingPlan
from t2fast.reports.bought import bought
from t2fast.reports.compared import compared
from t2fast.reports.designed import designed
from t2fast.reports.fitted import Table, fitted
from t2fast.reports.judged import judged
from t2fast.reports.measured import measured
from t2fast.reports.measured import warnings as table_warnings
from t2fast.reports.page import Section, page
from t2fast.reports.planned import Budgets, budgets_of, planned
from t2fast.reports.provenance import provenance
from t2fast.reports.spent import checked, spent, spent_warnings
from t2fast.runs import Run
from t2fast.tables import Accuracies, Counts, Likelihoods, Losses
from t2fast.text import counted
from t2fast.validation import Validation

Part: TypeAlias = (
    Table | AnyLaw | Plan | CheckedPlan | SpendingPlan | Design | Choice | Validation | Comparison | Run
)


@dataclass(frozen=True)
class Report:
    """A report. `warnings` come first on its page, then `sections`."""

    title: str
    warnings: tuple[str, ...]
    sections: tuple[Section, ...]

    def html(self) -> str:
        """The page: one HTML document that loads nothing from anywhere.

        Returns:
            The document.
        """
        return page(self.title, self.warnings, self.sections)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the page to a file, whole or not at all.

        Args:
            path: of the file.
        """
        atomic.write(path, [self.html().encode("utf-8")])


def report(
    *parts: Part,
    title: str | None = None,
    level: float = 0.9,
    command: Sequence[str] | None = None,
    files: Sequence[str | os.PathLike[str]] = (),
) -> Report:
    """A report of whatever there is: tables, laws, plans, designs, validations, comparisons, choices, runs.

    A law is held against the table if one is given whose quantity it predicts, and its profiles and frontiers
    are drawn over the training budgets that its data reach, at the inference budget of the plan, or else of
    the middle of its N and k. Where all plans by it are of one budget for training and all queries, or of a
    target, the frontier is over these; there is none where the check of all errs. The same parts make the
    same page, byte for byte.

    Args:
        parts: tables of any kind, laws, plans, designs, validations, comparisons, choices and runs.
        title: of the page; by default what it was made of.
        level: confidence of the intervals of what is drawn from a law.
        command: that the page says it was made by.
        files: that the page lists with their hashes.

    Returns:
        The report; `save` writes its page.

    Raises:
        TypeError: for a part of another kind.
        ValueError: without any part.
    """
    for part in parts:
        if not isinstance(part, get_args(Part)):
            raise TypeError(
                "a report is made of tables, laws, plans, designs, validations, comparisons, choices and "
                f"runs, not of a {type(part).__name__}"
            )
    if not parts:
        raise ValueError(
            "there is nothing to report: give a table, a law, a plan, a validation, a choice or a run"
        )
    runs = _of(parts, Run)
    tables: list[Any] = [
        *(_counts(run) for run in runs),
        *_of(parts, Counts | Likelihoods | Losses | Accuracies),
    ]
    plans, validations = _of(parts, Plan | CheckedPlan | SpendingPlan), _of(parts, Validation)
    laws: list[Any] = _of(parts, Law | ForecastLaw)
    for found in plans:
        if all(law is not found.law for law in laws):
            laws.append(found.law)
    sections: list[Section] = []
    said: list[str] = []
    for table in tables:
        said += table_warnings(table)
        sections.append(measured(table))
    for law in laws:
        said += [f"the law: {words}" for words in law.cautions]
        sections.append(fitted(law, _table_of(law, tables), level))
        advice, cautions = _advice(law, [found for found in plans if found.law is law], level)
        sections += advice
        said += cautions
    for design in _of(parts, Design):
        said += design.warnings
        sections.append(designed(design))
    for validation in validations:
        said += validation.notes if validation.forecastable else [validation.verdict, *validation.notes]
        sections.append(judged(validation))
    for comparison in _of(parts, Comparison):
        said += comparison.notes
        sections.append(compared(comparison))
    for choice in _of(parts, Choice):
        said += choice.notes
        sections.append(bought(choice))
    sections.append(provenance(command, files, runs))
    names = dict.fromkeys(_sources(tables, laws, validations, _of(parts, Comparison)))
    names |= dict.fromkeys(["runs to make next"] if not names and _of(parts, Design) else [])
    return Report(title or " · ".join(names) or "Report", tuple(dict.fromkeys(said)), tuple(sections))


def _of(parts: Sequence[Any], kind: Any) -> list[Any]:
    return [part for part in parts if isinstance(part, kind)]


def _counts(run: Run) -> Counts | Likelihoods:
    if run.manifest.k is None:
        return run.likelihoods(partial=True)
    return run.counts(partial=True)


def _table_of(law: AnyLaw, tables: Sequence[Any]) -> Any:
    kinds = {"loss": Losses, "accuracy": Accuracies}
    return next((t for t in tables if isinstance(t, kinds.get(law.metric, Counts | Likelihoods))), None)


def _advice(
    law: AnyLaw, plans: Sequence[Plan | CheckedPlan | SpendingPlan], level: float
) -> tuple[list[Section], list[str]]:
    """What a law advises, and what to know before trusting it."""
    two, others = _of(plans, Plan), _of(plans, CheckedPlan)
    purses = _of(plans, SpendingPlan)
    sections = [*map(checked, others), *map(spent, purses)]
    said = [words for found in others for words in found.warnings]
    said += [words for found in purses for words in spent_warnings(found)]
    if two or len(two) == len(plans):
        budgets, refusal = _budgets(law, two[0] if two else None)
        said = [*([refusal] if refusal else []), *(words for found in two for words in found.warnings), *said]
        sections = [*planned(law, budgets, two, level), *sections]
    return sections, said


def _budgets(law: AnyLaw, asked: Plan | None) -> tuple[Budgets | None, str]:
    """Budgets to draw, and why there are none."""
    try:
        found = budgets_of(law, asked)
    except ValueError as error:
        return None, f"no plans from this law: {error}"
    if found is None:
        return None, "the law does not say what it was fitted on: no profiles and frontiers"
    few = len(found.train_flops) < 2
    return found, "no training budget that the law's data reach leaves a choice" if few else ""


def _sources(
    tables: Sequence[Any],
    laws: Sequence[AnyLaw],
    validations: Sequence[Validation],
    comparisons: Sequence[Comparison],
) -> Iterator[str]:
    yield from (" and ".join(map(_base, table.source.split(" and "))) for table in tables)
    if not tables:
        yield from (f"{law.name} law" for law in laws)
        yield from (f"validation of {found.source}" for found in validations)
        yield from (f"{found.names[0]} beside {_others(found)}" for found in comparisons)


def _base(source: str) -> str:
    """A file without its folders."""
    return os.path.basename(source.rstrip("/")) or source


def _others(found: Comparison) -> str:
    """What a comparison holds beside its first side."""
    return found.names[1] if len(found.names) == 2 else counted(len(found.names) - 1, "other")
