"""A progress bar on stderr: samples finished, tokens a second."""

from __future__ import annotations

import sys
import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as RichProgress


class Progress:
    """Counts finished samples and tokens; shows them if ``enabled`` (None: if stderr is a terminal)."""

    def __init__(self, samples: int, *, enabled: bool | None):
        self.shown = sys.stderr.isatty() if enabled is None else enabled
        self._bar = RichProgress(
            TextColumn("samples"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeElapsedColumn(),
            console=Console(stderr=True),
            disable=not self.shown,
        )
        self._task = self._bar.add_task("samples", total=samples, rate="")
        self._start = time.perf_counter()

    def __enter__(self) -> Progress:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def finished(self, samples: int) -> None:
        """Count samples that ended."""
        self._bar.advance(self._task, samples)

    def tokens(self, drawn: int) -> None:
        """Show the rate, ``drawn`` tokens since the start."""
        rate = drawn / max(time.perf_counter() - self._start, 1e-9)
        self._bar.update(self._task, rate=f"{rate:,.0f} tokens/s")
