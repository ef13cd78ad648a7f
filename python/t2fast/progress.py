"""Progress of long work, on stderr, gone when it is done."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
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

_LOOK = 3.0
"""Seconds of work after which its length is judged."""
_SHARE = 0.02
"""How much must be done for that, unless it takes ten times as long."""
_LONG = 30.0
"""Seconds to go from which on that is said."""


class Bar:
    """A bar on stderr: what is worked on, how much is done, the rate as the caller says it, time left.

    ``shown=None`` shows it where stderr is a terminal. What is done is ``counted`` where that means something
    to the reader, a share otherwise. Of long work a line says early how long it will take, wherever stderr
    goes, unless ``shown`` is False.
    """

    def __init__(
        self, total: int, shown: bool | None, label: str = "", *, done: int = 0, counted: bool = False
    ) -> None:
        console = Console(stderr=True, highlight=False)
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
        self._console, self._label = console, label
        self._total, self._left, self._did = total, total - done, 0
        self._told = shown is False
        self._began = time.monotonic()

    def __enter__(self) -> Bar:
        self._bar.start()
        self._began = time.monotonic()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def label(self, label: str) -> None:
        """Say what is being worked on."""
        self._label = label
        self._bar.update(self._task, description=label)

    def begin(self, done: int) -> None:
        """So much is done, and time counts from here: what it took says nothing of what is left."""
        self._bar.update(self._task, completed=done)
        self._left, self._did = self._total - done, 0
        self._began = time.monotonic()

    def advance(self, done: int) -> None:
        """Count what was done since the last call."""
        self._bar.advance(self._task, done)
        self._did += done
        if not self._told and self._did > 0:
            self._tell(time.monotonic() - self._began)

    def _tell(self, took: float) -> None:
        """Say once how long it will take, if that is long, by how fast it went so far."""
        if took < (_LOOK if self._did >= _SHARE * self._left else 10 * _LOOK):
            return
        self._told = True
        to_go = took * (self._left - self._did) / self._did
        if to_go >= _LONG:
            now = datetime.now()
            words = f"about {duration(to_go)} to go, by the first {took:.0f} s: done {_when(now, to_go)}"
            self._console.print(f"{self._label}: {words}" if self._label else words, markup=False)

    def rate(self, rate: str) -> None:
        """Say how fast it goes."""
        self._bar.update(self._task, rate=rate)


def _when(now: datetime, seconds: float) -> str:
    """When that is by the clock, with its day if it is another one."""
    then = now + timedelta(seconds=seconds)
    days = (then.date() - now.date()).days
    day = "" if days == 0 else "tomorrow " if days == 1 else f"on {then:%Y-%m-%d} "
    return f"{day}at about {then:%H:%M}"


def duration(seconds: float) -> str:
    """A time as a person says it: 40 s, 12 min, 2 h 05 min, 3 days."""
    minutes = round(seconds / 60)
    if seconds < 90:
        return f"{seconds:.0f} s"
    if minutes < 90:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60:02d} min" if minutes < 48 * 60 else f"{minutes / 1440:.0f} days"


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
