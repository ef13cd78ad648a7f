"""Progress of long work, on stderr, gone when it is done."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
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


class Bar:
    """A bar on stderr: what is worked on, how much is done, the rate as the caller says it, time left.

    ``shown=None`` shows it where stderr is a terminal. What is done is ``counted`` where that means something
    to the reader, a share otherwise.
    """

    def __init__(
        self, total: int, shown: bool | None, label: str = "", *, done: int = 0, counted: bool = False
    ) -> None:
        console = Console(stderr=True)
        self.shown = console.is_terminal if shown is None else shown
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn() if counted else TaskProgressColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
        )
        # Parts may take minutes each: a rate over rich's usual 30 s would forget the one before.
        self._bar = Progress(
            *columns, console=console, transient=True, disable=not self.shown, speed_estimate_period=600
        )
        self._task = self._bar.add_task(label, total=total, completed=done, rate="")

    def __enter__(self) -> Bar:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def label(self, label: str) -> None:
        """Say what is being worked on."""
        self._bar.update(self._task, description=label)

    def advance(self, done: int) -> None:
        """Count what was done since the last call."""
        self._bar.advance(self._task, done)

    def rate(self, rate: str) -> None:
        """Say how fast it goes."""
        self._bar.update(self._task, rate=rate)


@contextmanager
def working(label: str) -> Iterator[None]:
    """A line with a spinner, where stderr is a terminal, while what cannot say how far it is works."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield
        return
    with console.status(label):
        yield


def track(items: Iterable[T], label: str, total: int, shown: bool | None) -> Iterator[T]:
    """Yields the items behind a bar that counts them."""
    with Bar(total, shown, label, counted=True) as bar:
        for item in items:
            yield item
            bar.advance(1)
