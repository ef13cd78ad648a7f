"""Doubts about a server whose samples may not be independent draws."""

from __future__ import annotations

import hashlib
import json
import math
import warnings

from t2fast.decode.endpoint.protocol import Reply

_IMPOSSIBLE = math.log(1e9)
"""Odds against chance, at which a server is refused."""
_MANY = 8
"""Replies, from which on it is odd that no sample differs from another."""


class Guard:
    """Looks at all replies of one call."""

    def __init__(self, temperature: float) -> None:
        self._drawn = temperature > 0  # else all samples of a problem are the same
        self._replies = 0
        self._ids: dict[str, bytes] = {}
        self._ids_tell, self._replays = True, 0
        self._last: dict[str, tuple[str, int]] = {}
        self._odds = 0.0
        self._vary = False
        self._differ = False
        self._models: set[str] = set()

    def look(self, problem: str, reply: Reply) -> None:
        """Look at a reply; `ValueError` if samples cannot be what they should be."""
        self._replies += 1
        self._same_model(reply)
        self._no_replay(reply)
        if not self._drawn:
            return
        texts = [choice.text for choice in reply.choices]
        self._vary = self._vary or len(set(texts)) > 1
        if self._vary:
            return
        before = self._last.get(problem)
        self._last[problem] = texts[0], len(texts)
        if before is None or before[0] == texts[0]:
            return
        self._differ = True
        # Were a + b samples exchangeable, equal ones would fall together so with a chance of 2 / C(a + b, a).
        self._odds += math.log(math.comb(before[1] + len(texts), len(texts)) / 2)
        if self._odds > _IMPOSSIBLE:
            raise ValueError(
                "the samples of one reply are all the same, and those of different replies are not: this "
                "server draws one sample where several are asked for. Ask for one a request (per_request=1, "
                "--per-request 1), in a new run"
            )

    def end(self) -> None:
        """Warn of what is odd, but may be."""
        if self._drawn and self._replies >= _MANY and not (self._vary or self._differ):
            warnings.warn(
                "no sample of a problem differs from another: either the model is very sure, or the server "
                "begins each request with the same random numbers",
                stacklevel=3,
            )

    def _same_model(self, reply: Reply) -> None:
        if reply.model is None or reply.model in self._models:
            return
        self._models.add(reply.model)
        if len(self._models) > 1:
            names = ", ".join(sorted(self._models))
            warnings.warn(f"the server answers as several models: {names}", stacklevel=3)

    def _no_replay(self, reply: Reply) -> None:
        """A reply that was kept and given again is no new sample; an id that all share says nothing of it."""
        if reply.id is None or not self._ids_tell:
            return
        said = [[choice.text, choice.reason] for choice in reply.choices]
        digest = hashlib.blake2b(json.dumps(said).encode(), digest_size=16).digest()
        if reply.id in self._ids:
            self._replays += 1
            self._ids_tell = self._ids[reply.id] == digest
        self._ids[reply.id] = digest
        if self._ids_tell and self._replays and len(self._ids) > 1:
            raise ValueError(
                f"the server gave a reply twice (its id is {reply.id}): something in between keeps replies, "
                "and samples that are repeated are not drawn. Turn that off for this run"
            )
