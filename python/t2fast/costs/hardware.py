"""Time, dollars and memory on named hardware, by the roofline: whichever takes longer, arithmetic or moving
bytes.

Peak rates are the makers' for dense bfloat16. How much of them real programs reach is an assumption that can
be
changed: 40% of the arithmetic (MFU) is what Llama 3's training reports (38 to 43%; Grattafiori et al. 2024,
table 4); 60% of the bandwidth (MBU) is usual for decoding (Databricks 2023, "LLM Inference Performance
Engineering").
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from t2fast.tables.sources import TableSource, open_source
from t2fast.text import nearest

Floats: TypeAlias = npt.NDArray[np.float64]

MFU, MBU = 0.4, 0.6
MOST_CHIPS = 8
"""That share a model unless told otherwise: those of one server."""


@dataclass(frozen=True)
class Accelerator:
    """One chip.

    Attributes:
        name: what it is called.
        flops: operations a second at most, dense bfloat16.
        bandwidth: bytes a second to and from its memory.
        memory: bytes.
    """

    name: str
    flops: float
    bandwidth: float
    memory: float


ACCELERATORS: Mapping[str, Accelerator] = {
    name: Accelerator(name, tera * 1e12, wide * 1e12, giga * 1e9)
    for name, tera, wide, giga in (
        ("A100", 312, 2.039, 80),
        ("H100", 989, 3.35, 80),
        ("H200", 989, 4.8, 141),
        ("B200", 2250, 8.0, 180),
        ("TPU v4", 275, 1.2, 32),
        ("TPU v5e", 197, 0.819, 16),
        ("TPU v5p", 459, 2.765, 95),
    )
}


def accelerator(name: str, table: TableSource | None = None) -> Accelerator:
    """A chip by its name, from `table` if given, then from ours.

    Args:
        name: in any case.
        table: with columns name, tflops, tb_per_s, gb.

    Returns:
        The chip.

    Raises:
        ValueError: if no chip is called so; for a table without these columns.
    """
    known = dict(ACCELERATORS)
    if table is not None:
        source = open_source(table, "the accelerators")
        columns = ("name", "tflops", "tb_per_s", "gb")
        missing = [column for column in columns if column not in source.columns]
        if missing:
            raise ValueError(f"{source.name} has no column {missing[0]!r}; it needs {', '.join(columns)}")
        for row in source.frame.select(columns).collect().iter_rows(named=True):
            try:
                rates = [float(row[column]) for column in columns[1:]]
            except (TypeError, ValueError):
                raise ValueError(f"{source.name}: {row} holds something else than numbers") from None
            if not all(np.isfinite(rate) and rate > 0 for rate in rates):
                raise ValueError(
                    f"{source.name}: the rates of {row['name']!r} have to be positive and finite"
                )
            known[str(row["name"])] = Accelerator(
                str(row["name"]), rates[0] * 1e12, rates[1] * 1e12, rates[2] * 1e9
            )
    for chip in known.values():
        if chip.name.casefold() == name.casefold():
            return chip
    hint = nearest(name, known)
    raise ValueError(
        f"no accelerator is called {name!r}; there are {', '.join(known)}" + (f". {hint}?" if hint else "")
    )


@dataclass(frozen=True)
class Served:
    """A model as it is served.

    Attributes:
        active_params: weights that a token passes through; all of them but for mixtures of experts.
        n_params: weights that are in memory.
        cache_bytes: of a token's keys and values.
        weight_bytes: a weight.
    """

    active_params: float
    n_params: float
    cache_bytes: float = 0.0
    weight_bytes: float = 2.0


@dataclass(frozen=True)
class Machine:
    """Chips that work together, what they cost, and how much of their peak is reached.

    Attributes:
        chip: the accelerator.
        chips: how many share a model, its bytes and its arithmetic alike.
        usd_per_hour: of one chip.
        mfu: share of the arithmetic reached.
        mbu: share of the bandwidth.
    """

    chip: Accelerator
    chips: int = 1
    usd_per_hour: float = 0.0
    mfu: float = MFU
    mbu: float = MBU

    def __post_init__(self) -> None:
        for name in ("mfu", "mbu"):
            if not 0 < getattr(self, name) <= 1:
                raise ValueError(
                    f"{name} is {getattr(self, name)!r}: a share of the peak lies between 0 and 1"
                )
        if not 0 <= self.usd_per_hour < math.inf:
            raise ValueError(f"usd_per_hour is {self.usd_per_hour!r}: it has to be finite and not negative")
        if not (self.chips >= 1 and self.chips == int(self.chips)):
            raise ValueError(f"chips is {self.chips!r}: give a whole number of at least 1")

    @property
    def flops(self) -> float:
        """Operations a second."""
        return self.chip.flops * self.chips * self.mfu

    @property
    def bandwidth(self) -> float:
        """Bytes a second."""
        return self.chip.bandwidth * self.chips * self.mbu

    @property
    def usd_per_second(self) -> float:
        """Of all chips."""
        return self.usd_per_hour * self.chips / 3600

    def train_seconds(self, flops: float) -> float:
        """Seconds for so many operations of training."""
        return flops / self.flops

    def train_usd(self, flops: float) -> float:
        """US dollars for so many operations of training, on however many such chips."""
        return self.train_seconds(flops) * self.usd_per_second

    def prefill_seconds(self, model: Served, tokens: float) -> float:
        """Reading a prompt: 2 N a token, or the weights once if that takes longer."""
        weights = model.n_params * model.weight_bytes / self.bandwidth
        return max(2 * model.active_params * tokens / self.flops, weights)

    def step_seconds(self, model: Served, rows: float, context: float) -> float:
        """One token for each of `rows` samples: 2 N a row, or the weights once and every row's cache."""
        moved = self.read_weights(model, rows) * model.weight_bytes + rows * context * model.cache_bytes
        return max(2 * model.active_params * rows / self.flops, moved / self.bandwidth)

    @staticmethod
    def read_weights(model: Served, rows: float) -> float:
        """Weights that a step reads: those active for one row; of a mixture ever more with more rows, which
        pick experts of their own: 1 - (1 - share)^rows of all.
        """
        share = model.active_params / model.n_params
        return float(model.n_params * (1 - (1 - share) ** rows))

    def query_seconds(self, model: Served, prompt_tokens: float, output_tokens: float, k: float) -> float:
        """Latency of k samples drawn together, the machine being free: the prompt, then a step a token."""
        context = prompt_tokens + output_tokens / 2
        return self.prefill_seconds(model, prompt_tokens) + output_tokens * self.step_seconds(
            model, k, context
        )

    def largest_batch(self, model: Served, context: float) -> float:
        """Rows of so much context whose cache fits beside the weights; 0 if not even these fit."""
        left = self.chip.memory * self.chips - model.n_params * model.weight_bytes
        if left < 0:
            return 0.0
        return np.inf if model.cache_bytes == 0 else float(np.floor(left / (model.cache_bytes * context)))

    def holding(self, model: Served, rows: float, context: float) -> Machine:
        """This machine with as many chips, a power of two, as hold the model and the cache of its rows."""
        machine = self
        while machine.largest_batch(model, context) < rows:
            machine = replace(machine, chips=2 * machine.chips)
        return machine

    @property
    def usd_per_flop(self) -> float:
        """US dollars an operation, where arithmetic takes longer than moving bytes."""
        return self.usd_per_second / self.flops

    @property
    def usd_per_byte(self) -> float:
        """US dollars a byte moved, where that takes longer."""
        return self.usd_per_second / self.bandwidth

    def usd_per_token(
        self, model: Served, prompt_tokens: float, output_tokens: float, rows: float
    ) -> tuple[float, float]:
        """US dollars a token read and a token written, with `rows` samples in flight.

        Raises:
            ValueError: if weights and cache of so many rows do not fit.
        """
        context = prompt_tokens + output_tokens / 2
        fits = self.largest_batch(model, context)
        if rows > fits:
            raise ValueError(
                f"{rows:g} samples of {context:.0f} tokens do not fit: {self.chips} x {self.chip.name} hold "
                f"{fits:g} beside the weights ({model.n_params * model.weight_bytes / 1e9:.3g} GB)"
            )
        read = 2 * model.active_params / self.flops * self.usd_per_second
        written = self.step_seconds(model, rows, context) / rows * self.usd_per_second
        return read, written
