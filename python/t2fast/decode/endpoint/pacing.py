"""When a request may go: so many a minute, and none while the server asks for a pause."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Mapping
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime

_FIRST, _MOST = 0.5, 60.0
"""Seconds: the most that the first retry waits, and the most that any does; it doubles in between."""
_SLOWER, _FASTER, _STEP = 2.0, 0.8, 0.02
"""What a refusal for too many requests does to the gap between two, what an answer does, and the gap's least
after a refusal, in seconds."""


class Stopped(Exception):
    """The work was ended while a request waited."""


class Pace:
    """Shared by all that ask one server, from whatever thread."""

    def __init__(self, requests_per_minute: float | None) -> None:
        self.stop = threading.Event()
        """Set to end what waits."""
        self._least = 60.0 / requests_per_minute if requests_per_minute else 0.0
        self._gap = self._least
        self._next = self._slowed = 0.0
        self._lock = threading.Lock()

    def wait(self) -> float:
        """Return when a request may go, with the time; `Stopped` if the work ends before."""
        while not self.stop.is_set():
            with self._lock:
                now = time.monotonic()
                if now >= self._next:
                    self._next = now + self._gap
                    return now
                seconds = self._next - now
            self.sleep(seconds)
        raise Stopped

    def refused(self, began: float, seconds: float) -> None:
        """Too many requests: let none go for so long, and then fewer, for a limit is of all that is asked.

        What went before the last time that this was heard says nothing of the pace since.
        """
        with self._lock:
            now = time.monotonic()
            self._next = max(self._next, now + seconds)
            if began >= self._slowed:
                self._slowed = now
                self._gap = min(max(self._gap * _SLOWER, _STEP), _MOST)

    def answered(self) -> None:
        """Let requests go a little closer to each other."""
        with self._lock:
            gap = self._gap * _FASTER
            self._gap = max(gap if gap > _STEP / 2 else 0.0, self._least)

    def sleep(self, seconds: float) -> None:
        """Wait; `Stopped` if the work ends before."""
        if self.stop.wait(seconds):
            raise Stopped


def backoff(attempt: int, chance: random.Random) -> float:
    """Seconds before the retry after so many failures.

    Exponential, and anywhere below that, so that what failed together does not come back together.
    """
    return chance.uniform(0.0, min(_MOST, _FIRST * 2.0 ** (attempt - 1)))


def asked_to_wait(headers: Mapping[str, str]) -> float | None:
    """Seconds that a reply's Retry-After asks for, as a number or a date; None: it does not ask."""
    given = headers.get("retry-after")
    if given is None:
        return None
    try:
        return max(0.0, float(given))
    except ValueError:
        pass
    try:
        until = parsedate_to_datetime(given)
    except ValueError:
        return None
    if until.tzinfo is None:
        until = until.replace(tzinfo=timezone.utc)
    return max(0.0, (until - datetime.now(timezone.utc)).total_seconds())
