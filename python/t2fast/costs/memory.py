"""What a model takes of a machine's memory while it answers: weights once, keys and values of every token."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from t2fast.costs.flops import Architecture
from t2fast.costs.hardware import Machine, Served
from t2fast.text import counted

_ASPECT = 128.0
"""Width over layers, as in Llama 7B and 13B (Touvron et al. 2023, table 2)."""
_VALUE_BYTES = 2.0
CACHE_POWER = 2 / 3
"""How keys and values of a token grow with N, where N alone is known."""


def cache_bytes(model: float | Architecture) -> float:
    """Bytes of a token's keys and values at two bytes a value: 4 layers kv_heads head_dim.

    Of a model known by N alone, those of a transformer of 12 layers width^2 weights that is 128 times as wide
    as deep, with a key and a value head for every query head: 4 layers width. Llama 7B's 0.52 MB come out as
    0.55 MB; heads that share keys and values take less.

    Args:
        model: N (active parameters of a mixture), or an architecture.

    Returns:
        Bytes.
    """
    if isinstance(model, Architecture):
        return _VALUE_BYTES * 2 * model.layers * (model.kv_heads or model.heads) * model.head_dim
    return float(_VALUE_BYTES * 2 * _ASPECT * (model / (12 * _ASPECT**2)) ** CACHE_POWER)


@dataclass(frozen=True)
class Room:
    """A model in the memory of the chips that hold it, with the samples in flight.

    Attributes:
        machine: with as many chips as hold weights and caches: those asked for, doubled until they do.
        asked: chips that were asked for.
        model: the model.
        rows: samples in flight.
        prompt_tokens: of each.
        output_tokens: of each; caches are counted at its end.
    """

    machine: Machine
    asked: int
    model: Served
    rows: float
    prompt_tokens: float
    output_tokens: float

    @classmethod
    def of(
        cls, machine: Machine, model: Served, rows: float, prompt_tokens: float, output_tokens: float
    ) -> Room:
        """The least room there is for them."""
        holding = machine.holding(model, rows, prompt_tokens + output_tokens)
        return cls(holding, machine.chips, model, rows, prompt_tokens, output_tokens)

    @property
    def chips(self) -> int:
        """How many hold it."""
        return self.machine.chips

    @property
    def memory(self) -> float:
        """Bytes of these chips."""
        return self.machine.chip.memory * self.chips

    @property
    def weights(self) -> float:
        """Bytes."""
        return self.model.n_params * self.model.weight_bytes

    @property
    def caches(self) -> float:
        """Bytes of all samples in flight, each with its prompt."""
        return self.rows * (self.prompt_tokens + self.output_tokens) * self.model.cache_bytes

    @property
    def largest_batch(self) -> float:
        """Samples in flight at which caches fill what the weights leave of these chips."""
        return self.machine.largest_batch(self.model, self.prompt_tokens + self.output_tokens)

    def seconds(self, k: float) -> float:
        """Latency of k samples of one query, the machine being free, by its roofline with caches: the prompt,
        then T steps, as often as not all samples fit at once.
        """
        together = min(k, self.largest_batch)
        context = self.prompt_tokens + self.output_tokens / 2
        writing = self.output_tokens * self.machine.step_seconds(self.model, together, context)
        return self.machine.prefill_seconds(self.model, self.prompt_tokens) + writing * math.ceil(
            k / together
        )

    def usd_per_query(self, k: float) -> float:
        """US dollars for a prompt and k samples, caches read too, so many rows being in flight."""
        tokens = self.prompt_tokens, self.output_tokens
        read, written = self.machine.usd_per_token(self.model, *tokens, self.rows)
        return read * tokens[0] + written * tokens[1] * k

    def __str__(self) -> str:
        """Where it is served, and the batch at which memory ends."""
        tokens = self.prompt_tokens + self.output_tokens
        says = (
            f"{counted(self.chips, 'chip')} of {self.machine.chip.name}, {_gigabytes(self.memory)}: weights "
            f"{_gigabytes(self.weights)}"
        )
        if self.model.cache_bytes == 0:
            return says
        return (
            f"{says}, keys and values of {self.rows:g} samples of {tokens:,.0f} tokens "
            f"{_gigabytes(self.caches)} ({self.model.cache_bytes / 1e6:.3g} MB a token); memory binds at a "
            f"batch of {self.largest_batch:,.0f}"
        )

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "gpu": self.machine.chip.name,
            "chips": self.chips,
            "memory_bytes": self.memory,
            "weight_bytes": self.weights,
            "cache_bytes_per_token": self.model.cache_bytes,
            "cache_bytes": self.caches,
            "batch": self.rows,
            "largest_batch": self.largest_batch if math.isfinite(self.largest_batch) else None,
        }


def _gigabytes(value: float) -> str:
    return f"{value / 1e9:,.3g} GB"
