"""The text of samples: whole, or as it is drawn."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence


class Renderer:
    """Text of a sample, cut where the first stop string begins."""

    def __init__(self, token_bytes: list[bytes], special: frozenset[int], stop: Sequence[str]):
        self.bytes = token_bytes
        self.special = special
        self.stop = [s.encode() for s in stop]

    def __call__(self, tokens: Iterable[int], cut: bool) -> str:
        """The text; with `cut`, up to the first stop string."""
        own = list(tokens)
        pieces = [self.bytes[token] for token in own]
        joined = b"".join(pieces)
        starts = [at for at in (joined.find(s) for s in self.stop) if at >= 0] if cut else []
        room = min(starts, default=len(joined))
        if self.special.isdisjoint(own):
            return joined[:room].decode("utf-8", errors="replace")
        kept = []
        for token, piece in zip(own, pieces, strict=True):
            if token not in self.special:
                kept.append(piece[:room])
            room = max(room - len(piece), 0)
        return b"".join(kept).decode("utf-8", errors="replace")


class Stream:
    """Passes text on as it is drawn: whole characters, and nothing that may still turn out a stop string."""

    def __init__(self, render: Renderer, write: Callable[[str], None]):
        self.render, self.write = render, write
        self.tokens: list[int] = []
        self.written = 0
        self.held = max((len(stop) for stop in render.stop), default=1) - 1

    def __call__(self, problem: int, sample: int, token: int) -> None:
        """A token more."""
        self.tokens.append(token)
        text = self.render(self.tokens, False).rstrip("\ufffd")
        self._write(text[: max(len(text) - self.held, self.written)])

    def end(self, text: str) -> None:
        """The whole text is known."""
        self._write(text)

    def _write(self, text: str) -> None:
        if len(text) > self.written:
            self.write(text[self.written :])
            self.written = len(text)
