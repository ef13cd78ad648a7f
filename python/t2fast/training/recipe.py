"""How a model is trained: the T² paper's recipe, at any size."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Recipe:
    """AdamW, a warm-up, then a cosine to zero over the whole run (Roberts et al. 2026, arXiv 2604.01411, on
    checkpoints; Porian et al. 2024, arXiv 2406.19146).

    Attributes:
        n_tokens: D, tokens to see; rounded to whole steps.
        batch: sequences of a step.
        lr: peak learning rate.
        betas: of AdamW.
        weight_decay: a step's share that matrices lose at the peak learning rate, whatever that is.
        clip: largest norm of a step's gradient.
        z_loss: weight of the squared log-normaliser in the objective, which keeps logits from drifting.
        seed: of the first weights and of the order of the data.
    """

    n_tokens: float
    batch: int = 16
    lr: float = 3e-3
    betas: tuple[float, float] = (0.9, 0.95)
    weight_decay: float = 1e-4
    clip: float = 1.0
    z_loss: float = 1e-4
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("n_tokens", "batch", "lr", "clip"):
            if not (math.isfinite(getattr(self, name)) and getattr(self, name) > 0):
                raise ValueError(f"{name} must be above 0, not {getattr(self, name)}")
        if self.seed < 0:
            raise ValueError(f"seed must be 0 or more, not {self.seed}")

    def steps(self, context: int) -> int:
        """Steps of `batch` sequences of `context` tokens that come nearest to D; at least one."""
        return max(1, round(self.n_tokens / (self.batch * context)))

    def warm_up(self, n_params: int, context: int) -> int:
        """Steps of warm-up: as many tokens as the model has parameters, but at most a fifth of the run."""
        wanted = math.ceil(n_params / (self.batch * context))
        return min(wanted, max(1, self.steps(context) // 5))

    def rate(self, step: int, n_params: int, context: int) -> float:
        """The learning rate of a step, counted from 0: linear over the warm-up, then a cosine to zero."""
        steps, warm_up = self.steps(context), self.warm_up(n_params, context)
        if step < warm_up:
            return self.lr * (step + 1) / warm_up
        return self.lr * 0.5 * (1.0 + math.cos(math.pi * (step - warm_up) / (steps - warm_up)))
