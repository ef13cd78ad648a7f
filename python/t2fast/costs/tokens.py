"""What a query costs where tokens are sold, by the million, one price for what is read and one for what is
written.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Floats: TypeAlias = npt.NDArray[np.float64]


@dataclass(frozen=True)
class QueryPrice:
    """US dollars for the samples of one query.

    Attributes:
        prompt: for reading the prompt once; one number, or one a problem.
        sample: for writing one sample, likewise.
        prompt_once: whether k samples drawn together pay for the prompt once (one request for n = k samples)
            or k times (k requests of their own).
    """

    prompt: float | Floats
    sample: float | Floats
    prompt_once: bool = False

    @classmethod
    def of_tokens(
        cls,
        usd_per_million_prompt_tokens: float,
        usd_per_million_output_tokens: float,
        prompt_tokens: float | Floats,
        output_tokens: float | Floats,
        prompt_once: bool = False,
    ) -> QueryPrice:
        """From prices a million tokens, for prompts and samples of so many tokens."""
        return cls(
            usd_per_million_prompt_tokens * prompt_tokens / 1e6,
            usd_per_million_output_tokens * output_tokens / 1e6,
            prompt_once,
        )

    def together(self, k: npt.ArrayLike) -> Floats:
        """USD for k samples drawn together, all of them paid for: prompt·k + sample·k, or prompt +
        sample·k.
        """
        k = np.asarray(k, dtype=float)
        return np.asarray(self.prompt * (1.0 if self.prompt_once else k) + self.sample * k)

    def one_by_one(self, drawn: npt.ArrayLike) -> Floats:
        """USD for an expected number of samples drawn one after the other: each is a request of its own."""
        return np.asarray((self.prompt + self.sample) * np.asarray(drawn, dtype=float))
