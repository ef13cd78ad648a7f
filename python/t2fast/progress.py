"""Progress of long work, on stderr, gone when it is done."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)

T = TypeVar("T")


def track(items: Iterable[T], label: str, total: int, shown: bool | None) -> Iterator[T]:
    """Yields the items behind a progress bar; ``shown=None`` shows it where stderr is a terminal."""
    console = Console(stderr=True)
    visible = console.is_terminal if shown is None else shown
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not visible) as progress:
        task = progress.add_task(label, total=total)
        for item in items:
            yield item
            progress.advance(task)


class Work:
    """A bar of work done in parts of unequal size: share done, rate as the caller says it, time left."""

    def __init__(self, total: int, done: int, shown: bool | None):
        console = Console(stderr=True)
        visible = console.is_terminal if shown is None else shown
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
        )
        # Parts may take minutes each: a rate over rich's usual 30 s would forget the one before.
        self._bar = Progress(
            *columns, console=console, transient=True, disable=not visible, speed_estimate_period=600
        )
        self._task = self._bar.add_task("", total=total, completed=done, rate="")

    def __enter__(self) -> Work:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def at(self, label: str) -> None:
        """Say what is being worked on."""
        self._bar.update(self._task, description=label)

    def done(self, part: int, rate: str) -> None:
        """Count a part that is done."""
        self._bar.update(self._task, advance=part, rate=rate)
