"""What a model costs by its parameters alone, in floating-point operations: 6 N D and 2 N k, spelled once.

The core has the same, where it searches; `t2fast.costs` counts layer by layer.
"""

from __future__ import annotations

from typing import Any


def train_flops(n_params: Any, n_tokens: Any) -> Any:
    """6 N D: two operations a weight and token forwards, four backwards (Kaplan et al. 2020, arXiv
    2001.08361).

    Args:
        n_params: N; a number, an array or an expression over columns.
        n_tokens: D, likewise.

    Returns:
        FLOPs, likewise.
    """
    return 6.0 * n_params * n_tokens


def sample_flops(n_params: Any, k: Any) -> Any:
    """2 N k: of k samples, a token of each.

    Args:
        n_params: N; a number, an array or an expression over columns.
        k: samples, or all their tokens, likewise.

    Returns:
        FLOPs, likewise.
    """
    return 2.0 * n_params * k


def largest_params(train: float, inference: float, n_tokens: float, k: float = 1.0) -> float:
    """The N that budgets just train on so many tokens and sample so often.

    Args:
        train: C_train, FLOPs.
        inference: C_inf, FLOPs per token served; infinite where none is wanted.
        n_tokens: D.
        k: samples.

    Returns:
        min(C_inf / 2k, C_train / 6D).
    """
    return float(min(inference / sample_flops(1.0, k), train / train_flops(1.0, n_tokens)))
