"""Requests to a server, sent again until they are answered or there is no point. Needs the package httpx."""

from __future__ import annotations

import math
import os
import random
import re
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar
from urllib.parse import urlsplit

from t2fast.decode.endpoint.pacing import Pace, asked_to_wait, backoff
from t2fast.decode.endpoint.protocol import MalformedError
from t2fast.text import counted

T = TypeVar("T")

_AGAIN = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})
"""Statuses that may be another the next time."""
_HOPELESS = frozenset({"insufficient_quota", "billing_hard_limit_reached"})
"""Codes of errors that no waiting mends, though their status is 429."""
_PATIENCE = 600.0
"""The longest pause, in seconds, that a server's Retry-After is given: beyond, the caller is told."""
_SHOWN = 300
"""Most characters of a server's words that an error repeats."""
_GLANCE = 60
"""Most characters of an answer that is none."""
_TAG = re.compile(r"<(script|style)\b.*?</\1>|<[^>]*>", re.DOTALL | re.IGNORECASE)


@dataclass(frozen=True)
class Endpoint:
    """A server, and how it is asked.

    Attributes:
        url: what stands before `/completions` and `/chat/completions`, as `http://localhost:8000/v1`.
        key_env: the environment's variable that has the key, if the server wants one; it is read when the
            server is asked, and written nowhere.
        concurrency: most requests under way at once.
        per_request: most samples that one request asks for.
        retries: how often a request is sent again that was refused for a while, failed or was cut off.
        timeout: seconds without a byte after which a request counts as cut off.
        requests_per_minute: most requests that are begun in a minute; None: as many as go. Whatever it is,
            all requests keep the pause that a server asks for by Retry-After.
        request: fields to add to every request's body, in place of ours; None as a value leaves a field out.
    """

    url: str
    key_env: str = "T2FAST_API_KEY"
    concurrency: int = 8
    per_request: int = 16
    retries: int = 8
    timeout: float = 600.0
    requests_per_minute: float | None = None
    request: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not (self.key_env.isidentifier() and self.key_env.isascii()):  # most likely the key: not repeated
            raise ValueError(
                "key_env is no name of a variable: give the name under which the environment has the key, as "
                "T2FAST_API_KEY, and not the key"
            )
        parts = urlsplit(self.url)
        try:
            known = parts.scheme in ("http", "https") and parts.hostname and (parts.port or True)
        except ValueError:  # a port that is none
            known = False
        if not known:
            raise ValueError(f"endpoint {_shown(self.url)!r} is no address as http://localhost:8000/v1")
        if parts.username or parts.password or parts.query or parts.fragment:
            raise ValueError(
                f"endpoint {_shown(self.url)!r}: give the address alone, without a user, a "
                f"password or what follows a '?'; the key is read from the environment's {self.key_env}"
            )
        object.__setattr__(self, "url", self.url.rstrip("/"))
        for name, least in (("concurrency", 1), ("per_request", 1), ("retries", 0)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be at least {least}, not {getattr(self, name)}")
        for name in ("timeout", "requests_per_minute"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value > 0):
                raise ValueError(f"{name} must be above 0, not {value}")
        if taken := sorted(self.request.keys() & {"model", "prompt", "messages", "n", "stream"}):
            raise ValueError(f"request may not set {taken[0]}: it is set here")


def _shown(url: str) -> str:
    """The address as an error may show it: without a user, a password or a query, where keys may stand."""
    address, mark, _ = url.partition("?")
    before, at, after = address.partition("@")
    return (f"{before.partition('//')[0]}//***@{after}" if at else address) + (mark and "?***")


@dataclass(frozen=True)
class Answered(Generic[T]):
    """An answer, and what it took."""

    answer: T
    retries: int
    seconds: float
    """Of the request that was answered, without those before it."""


class Client:
    """A connection to a server, for any number of threads."""

    def __init__(self, endpoint: Endpoint, pace: Pace) -> None:
        try:
            import httpx
        except ImportError as error:
            raise ImportError("asking a server needs httpx: pip install 't2fast[endpoint]'") from error
        self.endpoint, self.pace = endpoint, pace
        self._httpx = httpx
        self._met = False
        self._chance = random.Random()  # never what a sample is a function of
        self._key = _key_of(endpoint.key_env)
        parts = urlsplit(endpoint.url)
        here = parts.hostname in ("localhost", "127.0.0.1", "::1")
        if self._key and parts.scheme == "http" and not here:
            warnings.warn(
                f"the key of {endpoint.key_env} goes to {parts.hostname} over http, where others can read it",
                stacklevel=4,
            )
        self._http = httpx.Client(
            headers={"Authorization": f"Bearer {self._key}"} if self._key else {},
            timeout=httpx.Timeout(endpoint.timeout, connect=min(endpoint.timeout, 30.0)),
            limits=httpx.Limits(max_connections=endpoint.concurrency),
            trust_env=not here,  # no proxy stands between a machine and itself
        )

    def close(self) -> None:
        """Close all connections, those in use, too."""
        self._http.close()

    def ask(self, path: str, body: Mapping[str, Any], read: Callable[[Any], T]) -> Answered[T]:
        """Send a request until `read` understands what comes back.

        Args:
            path: below the server's address.
            body: what is asked, as JSON.
            read: what to make of an answer's JSON; `MalformedError` if nothing.

        Returns:
            What `read` returned.

        Raises:
            ValueError: if the server refuses, or fails once more than `retries`, with its words.
        """
        failures = 0
        while True:
            went = self.pace.wait()
            began = time.perf_counter()
            wait = None
            try:
                reply = self._http.post(f"{self.endpoint.url}{path}", json=body)
                self._met = True
                if reply.is_success:
                    answer = read(_json(reply))
                    self.pace.answered()
                    return Answered(answer, failures, time.perf_counter() - began)
                wait = asked_to_wait(reply.headers)
                why = self._refusal(path, reply)
                if reply.status_code == 429 or wait is not None:
                    self.pace.refused(went, wait or 0.0)
            except MalformedError as error:
                why = f"{error.wrong} {self._clean(error.found)[:_GLANCE]!r}"
            except self._httpx.RequestError as error:
                why = self._clean(f"{type(error).__name__}: {error}")
                if isinstance(error, self._httpx.ConnectError) and not self._met:
                    raise ValueError(f"nobody answers at {self.endpoint.url} ({why})") from error
            failures += 1
            if failures > self.endpoint.retries:
                raise ValueError(
                    f"{self.endpoint.url}{path} failed {counted(failures, 'time')}, at last with {why}"
                )
            if wait is not None and wait > _PATIENCE:
                raise ValueError(
                    f"{self.endpoint.url}{path} asks to wait {wait:,.0f} s ({why}): run again after that; "
                    "what is finished is kept"
                )
            self.pace.sleep((wait or 0.0) + backoff(failures, self._chance))

    def _refusal(self, path: str, reply: Any) -> str:
        """A refusal in words; `ValueError` if asking again is no use."""
        words, code = _error(reply)
        why = self._clean(f"status {reply.status_code}: {words}" if words else f"status {reply.status_code}")
        if reply.status_code not in _AGAIN or code in _HOPELESS:
            hint = ""
            if reply.status_code in (401, 403):
                having = "holds a key that it does not take" if self._key else "is empty"
                hint = f" (the environment's {self.endpoint.key_env} {having})"
            elif reply.is_redirect:
                to = _shown(reply.headers.get("location", ""))
                hint = f" (it points to {self._clean(to)}: give the address that answers)"
            elif reply.status_code in (404, 405):
                hint = (
                    f" (either {self.endpoint.url} is not the address, which with most servers ends in /v1, "
                    "or it has no such model)"
                )
            raise ValueError(f"{self.endpoint.url}{path} refuses: {why}{hint}")
        return why

    def _clean(self, words: str) -> str:
        """Without the key, which a server may repeat, in one line of some length."""
        if self._key:
            words = words.replace(self._key, "***")
        return " ".join(words.split())[:_SHOWN]


def _key_of(name: str) -> str:
    """The key in a variable of the environment; `ValueError`, without it, if no header can have it."""
    key = os.environ.get(name, "").strip()  # files that are read into it end their lines
    if not (key.isascii() and key.isprintable()):
        raise ValueError(
            f"the environment's {name} has a character that no key has (beyond ASCII, or a line's end in its "
            "middle): set it anew"
        )
    return key


def _json(reply: Any) -> Any:
    try:
        return reply.json()
    except ValueError as error:
        raise MalformedError("no JSON but", reply.text) from error


def _error(reply: Any) -> tuple[str, str]:
    """What a server says of its refusal, and its code for it."""
    try:
        data = reply.json()
    except ValueError:
        return _TAG.sub(" ", reply.text), ""  # a page's words
    said = data.get("error", data) if isinstance(data, dict) else data
    if not isinstance(said, dict):
        return str(said), ""
    return str(said.get("message") or said.get("detail") or said), str(said.get("code"))
