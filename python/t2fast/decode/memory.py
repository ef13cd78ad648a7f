"""How much memory a model takes on the CPU, and how much there is."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from t2fast import _core
from t2fast.decode.hub import resolve
from t2fast.decode.request import Request

ROWS = 128
"""Samples that the CPU engine draws at once unless it is told otherwise."""


@dataclass(frozen=True)
class Memory:
    """What a model takes, in bytes."""

    weights: int
    """Of all weights, as the engine keeps them."""
    token: int
    """Of the keys and values of one token, of a prompt or of a sample."""
    available: int | None
    """What can be had now, here and in this process's group; None where the system does not say."""

    def samples(self, count: int, max_tokens: int) -> int:
        """Bytes of the keys and values of samples as long as they may grow, as many as are drawn at once.

        Args:
            count: samples that are asked for.
            max_tokens: longest sample.

        Returns:
            Bytes.
        """
        return min(count, ROWS) * max_tokens * self.token

    def line(self, count: int, max_tokens: int) -> str:
        """What a call of `sample` will take, in one line.

        Args:
            count: samples that are asked for.
            max_tokens: longest sample.

        Returns:
            The line.
        """
        own = size(self.samples(count, max_tokens))
        there = "" if self.available is None else f"; {size(self.available)} are available"
        at_once = f"{min(count, ROWS)} x {max_tokens} tokens"
        weights, token = size(self.weights), size(self.token)
        return f"memory: {weights} weights + {own} samples ({at_once}) + {token} a token of prompts{there}"


def memory_needed(model: str | Path, *, dtype: str = "auto", kernel: str | None = None) -> Memory:
    """What a model will take in memory on the CPU, from its files' headers: nothing is loaded.

    Args:
        model: as for `t2fast.decode.load`; what a hub id names is fetched.
        dtype: as for `load`.
        kernel: as for `load`.

    Returns:
        Bytes of weights and of each token, and what is available.

    Raises:
        ValueError: as `load` does, for files that are damaged or of an unknown architecture.
    """
    weights, token = _core.ModelFile(resolve(model)).need(dtype, kernel)
    return Memory(weights, token, available())


def shortage(token: int, request: Request) -> str | None:
    """What is to be said where samples may outgrow the memory that is available.

    Args:
        token: bytes of one token's keys and values.
        request: what is to be drawn.

    Returns:
        A sentence; None where all fits, or where the system does not say.
    """
    there = available()
    rows, longest = min(sum(request.k), request.max_rows or ROWS), request.sampling.max_tokens
    most = token * (rows * longest + max(len(prompt) for prompt in request.prompts))
    if there is None or most <= there:
        return None
    return (
        f"{rows} samples of {longest} tokens at once may take {size(most)} of memory, and {size(there)} are "
        "available: lower max_tokens or max_rows"
    )


def available() -> int | None:
    """Bytes of memory that can be had now: the system's, or what is left to this process's control group.

    Returns:
        Bytes; None where the system does not say.
    """
    found = [bytes_ for bytes_ in (_of_system(), _of_group()) if bytes_ is not None]
    return min(found, default=None)


def size(count: float) -> str:
    """Bytes for people to read."""
    for unit in ("bytes", "KiB", "MiB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1024
    return f"{count:.3g} GiB" if count < 1000 else f"{count:,.0f} GiB"


def _of_system() -> int | None:
    try:
        for line in Path("/proc/meminfo").read_text("utf-8").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    try:  # macOS has no count of what can be had: what there is at all
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError, AttributeError):
        return None


def _of_group(root: Path = Path("/sys/fs/cgroup")) -> int | None:
    """What a control group (version 2), as containers have it, leaves; pages of files can be given back."""
    try:
        limit = (root / "memory.max").read_text("utf-8").strip()
        if limit == "max":
            return None
        used = int((root / "memory.current").read_text("utf-8"))
        lines = dict(line.split() for line in (root / "memory.stat").read_text("utf-8").splitlines())
        return max(0, int(limit) - used + int(lines.get("inactive_file", 0)))
    except (OSError, ValueError):
        return None
