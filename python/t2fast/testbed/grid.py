"""The checkpoints of a testbed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from t2fast.compute import train_flops
from t2fast.testbed.settings import Settings
from t2fast.text import amount
from t2fast.training import Recipe, Shape

_SLACK = 1.05
"""Whole steps move D a little: a budget is met up to this."""


@dataclass(frozen=True)
class Checkpoint:
    """A model to train and measure.

    Attributes:
        name: N, D and the seed.
        role: ordinary, overtrained or loop.
        shape: of the model.
        recipe: of its training.
        samples: drawn of each problem.
        tuned: tasks on which it is fine-tuned, beside.
    """

    name: str
    role: str
    shape: Shape
    recipe: Recipe
    samples: int
    tuned: tuple[str, ...] = ()

    @property
    def n_tokens(self) -> int:
        """D, in whole steps."""
        context = self.shape.context
        return self.recipe.steps(context) * self.recipe.batch * context

    @property
    def flops(self) -> float:
        """6 N D."""
        return float(train_flops(self.shape.n_params, self.n_tokens))


def grid(settings: Settings) -> list[Checkpoint]:
    """The ordinary checkpoints and the overtrained ones beside them; `ValueError` if a budget has none."""
    found: list[Checkpoint] = []
    for budget in settings.budgets:
        seeds = settings.repeats if budget in settings.repeated_budgets else 1
        some = list(_between(settings, "ordinary", budget, settings.tokens_per_param, seeds))
        if not some:
            low, high = settings.tokens_per_param
            raise ValueError(
                f"no size has {low:g} to {high:g} tokens a parameter at {budget:g} FLOPs: add some"
            )
        found += some
    for budget in settings.overtrained_budgets:
        found += _between(settings, "overtrained", budget, settings.overtrained_tokens_per_param, 1)
    by_name: dict[str, Checkpoint] = {}
    for one in found:
        there = by_name.setdefault(one.name, one)
        if there.shape != one.shape or there.recipe != one.recipe:
            raise ValueError(
                f"two checkpoints would be called {one.name}, after {there.recipe.n_tokens:,.0f} and "
                f"{one.recipe.n_tokens:,.0f} tokens: set the budgets further apart"
            )
    return list(by_name.values())


def _between(
    settings: Settings, role: str, budget: float, ratio: tuple[float, float], seeds: int
) -> Iterator[Checkpoint]:
    for shape in settings.shapes:
        n_tokens = budget / train_flops(shape.n_params, 1)
        if ratio[0] <= n_tokens / shape.n_params <= ratio[1]:
            for seed in range(seeds):
                yield checkpoint(settings, role, shape, n_tokens, seed)


def checkpoint(
    settings: Settings, role: str, shape: Shape, n_tokens: float, seed: int, samples: int = 1
) -> Checkpoint:
    """A model of this shape after so many tokens, measured by at least so many samples a problem."""
    batch = settings.batch
    while batch > 1 and n_tokens < settings.least_steps * batch * settings.context:
        batch //= 2
    recipe = Recipe(n_tokens, batch, settings.lr, seed=seed)
    name = f"{amount(shape.n_params)}-{amount(n_tokens)}-seed{seed}"
    tuned = settings.tuned_tasks if role == "ordinary" else ()
    return Checkpoint(name, role, shape, recipe, max(samples, settings.samples), tuned)


def up_to(settings: Settings, share: float = 1 / 8) -> float:
    """The most FLOPs of a checkpoint of a share of C, and what whole steps add: the loop's laws see C/8."""
    return settings.train_flops * share * _SLACK
