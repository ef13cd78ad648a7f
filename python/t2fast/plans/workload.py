"""What a model will be used for, what that costs, and ceilings on what a query may take.

Costs have the form N (c D + Q (u + v k)): c for training a parameter on a token, u and v for a query's prompt
and for a sample, each a parameter. In FLOPs c = 6, u = 2 P, v = 2 T (Sardana et al. 2024, arXiv 2401.00448,
for k = 1); in dollars each is multiplied by its price a FLOP, and a sample costs that or what moving its
bytes costs, whichever is more. An architecture brings its own three.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from t2fast.arguments import require_kind
from t2fast.compute import sample_flops, train_flops
from t2fast.costs.flops import Architecture
from t2fast.costs.hardware import Machine, Served
from t2fast.costs.memory import Room, cache_bytes
from t2fast.plans.moved import Moved, Terms
from t2fast.plans.request import positive

Prices: TypeAlias = tuple[float, float, float]
Ceiling: TypeAlias = tuple[tuple[float, float, float, float], Terms]

_WEIGHT_BYTES = 2.0


@dataclass(frozen=True)
class Workload:
    """What a model will be used for, and what that costs.

    Attributes:
        queries: Q.
        prompt_tokens: P.
        output_tokens: T of a sample.
        train_price: of one FLOP of training; 1 for plans in FLOPs.
        prompt_price: of one FLOP of reading prompts.
        sample_price: of one FLOP of writing samples; on a machine a sample costs no less than its bytes.
        sequence: tokens of a training sequence; the attention of an architecture depends on it.
        machine: what it is trained and served on, in dollars; None for costs in FLOPs, or whatever the prices
            are in.
        rows: samples in flight on the machine.
        cache_bytes: of a token's keys and values, 0 to leave them out; None: what `t2fast.costs.cache_bytes`
            says of a model.

    Raises:
        ValueError: for a number that is not positive and finite; a prompt may be empty, caches left out.
    """

    queries: float
    prompt_tokens: float
    output_tokens: float
    train_price: float = 1.0
    prompt_price: float = 1.0
    sample_price: float = 1.0
    sequence: int = 2048
    machine: Machine | None = None
    rows: float = 64.0
    cache_bytes: float | None = None

    def __post_init__(self) -> None:
        for name in ("queries", "output_tokens", "train_price", "sample_price", "sequence", "rows"):
            positive(name, getattr(self, name))
        if self.rows < 1:
            raise ValueError(f"rows is {self.rows!r}: at least one sample is in flight")
        for name in ("prompt_tokens", "prompt_price", "cache_bytes"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value >= 0):
                raise ValueError(f"{name} is {value!r}: it has to be finite and not negative")

    @classmethod
    def on(
        cls,
        machine: Machine,
        queries: float,
        prompt_tokens: float,
        output_tokens: float,
        *,
        rows: float = 64.0,
        sequence: int = 2048,
        cache_bytes: float | None = None,
    ) -> Workload:
        """Trained and served on a machine, in US dollars by its roofline.

        Args:
            machine: the chip, its price, and how much of it is reached.
            queries: Q.
            prompt_tokens: P.
            output_tokens: T of a sample.
            rows: samples in flight.
            sequence: tokens of a training sequence.
            cache_bytes: of a token's keys and values, if known.

        Returns:
            The workload.
        """
        price = machine.usd_per_flop
        prices = price, price, price
        return cls(queries, prompt_tokens, output_tokens, *prices, sequence, machine, rows, cache_bytes)

    def room(self, model: float | Architecture) -> Room | None:
        """The model in the machine's memory with its samples in flight; None without a machine."""
        if self.machine is None:
            return None
        n = float(model.n_params()) if isinstance(model, Architecture) else model
        of_token = cache_bytes(model) if self.cache_bytes is None else self.cache_bytes
        served = Served(n, n, of_token)
        return Room.of(self.machine, served, self.rows, self.prompt_tokens, self.output_tokens)

    @property
    def unit(self) -> Literal["USD", "FLOPs"]:
        """Of costs."""
        return "FLOPs" if self.machine is None else "USD"

    def money(self, value: float) -> str:
        """A cost in words."""
        if self.machine is None:
            return f"{value:.3g} FLOPs"
        return f"{value:,.0f} USD" if 100 <= value < 1e12 else f"{value:.3g} USD"

    @property
    def moved(self) -> Moved:
        """What moving bytes costs for a sample of every query, T times each: the weights, shared by the
        samples in flight, and keys and values of the prompt and half the sample. Nothing without a machine.
        """
        if self.machine is None:
            return Moved()
        byte = self.queries * self.output_tokens * self.machine.usd_per_byte
        context = self.prompt_tokens + self.output_tokens / 2
        return Moved(_WEIGHT_BYTES * byte / self.rows, byte * context, self.cache_bytes)

    def prices(self, model: float | Architecture) -> Prices:
        """Cost of training on a token, of all queries' prompts, and of a sample of each: of its arithmetic,
        or of moving its bytes where that is more.
        """
        train, prompt, sample = self.arithmetic(model)
        return train, prompt, max(sample, self.moved.of(model))

    def arithmetic(self, model: float | Architecture) -> Prices:
        """The same for arithmetic alone: by N, 6, 2 P Q and 2 T Q FLOPs a parameter; for an architecture,
        layer by layer with attention.
        """
        if isinstance(model, Architecture):
            train = float(model.train_flops(1.0, self.sequence))
            prompt = float(model.forward_flops(self.prompt_tokens))
            sample = float(model.forward_flops(self.output_tokens, self.prompt_tokens))
        else:
            train = train_flops(model, 1.0)
            prompt, sample = (
                sample_flops(model, tokens) for tokens in (self.prompt_tokens, self.output_tokens)
            )
        return (
            self.train_price * train,
            self.queries * self.prompt_price * prompt,
            self.queries * self.sample_price * sample,
        )

    def training(self, model: float | Architecture, d: float) -> float:
        """Cost of training on D tokens."""
        return self.prices(model)[0] * d

    def serving(self, model: float | Architecture, k: float) -> float:
        """Cost of all queries, k samples each."""
        _, prompt, sample = self.prices(model)
        return prompt + k * sample


@dataclass(frozen=True)
class Limit:
    """A ceiling on N prompt + max(N sample k, N floor + moved k) a query. Make one by its class methods.

    Attributes:
        name: what is limited, in words.
        prompt: for the prompt, a parameter.
        sample: for a sample's arithmetic, a parameter.
        floor: for moving what all samples share, a parameter.
        moved: for moving a sample's own bytes.
        most: the ceiling.
        seconds: whether it is of time.
    """

    name: str
    prompt: float
    sample: float
    floor: float
    moved: Moved
    most: float
    seconds: bool = False

    @classmethod
    def of_cost(cls, workload: Workload, most: float) -> Limit:
        """A query costs so much at most, in the unit of the workload's prices: a prompt and k samples."""
        one = replace(workload, queries=1.0)
        _, prompt, sample = one.arithmetic(1.0)
        name = f"cost a query at most {most:g} {workload.unit}"
        return cls(name, prompt, sample, 0.0, one.moved, positive("most", most))

    @classmethod
    def of_latency(
        cls, machine: Machine, workload: Workload, seconds: float, weight_bytes: float = _WEIGHT_BYTES
    ) -> Limit:
        """A query takes so many seconds at most on a machine that is free, its samples drawn together: 2 P N
        operations or reading the weights, then T steps of 2 k N operations or of reading the weights and the
        keys and values of k samples, whichever is longer.
        """
        t, weights = workload.output_tokens, weight_bytes / machine.bandwidth
        context = workload.prompt_tokens + t / 2
        return cls(
            f"latency at most {seconds:g} s",
            max(2 * workload.prompt_tokens / machine.flops, weights),
            2 * t / machine.flops,
            t * weights,
            Moved(0.0, t * context / machine.bandwidth, workload.cache_bytes),
            positive("seconds", seconds),
            seconds=True,
        )

    def used(self, model: float | Architecture, k: float) -> float:
        """The share of the ceiling that a choice takes."""
        n = float(model.n_params()) if isinstance(model, Architecture) else model
        answers = max(n * self.sample * k, n * self.floor + self.moved.of(model) * k)
        return (n * self.prompt + answers) / self.most

    def ceiling(self, model: float | Architecture = 1.0) -> Ceiling:
        """What the core is asked for, of this architecture or of any N."""
        return (self.prompt, self.sample, self.floor, self.most), self.moved.terms(model)


def check_workload(given: object) -> None:
    """`TypeError` for what is no workload."""
    require_kind("a spending", given, (Workload,), "it says what a model will be used for")
