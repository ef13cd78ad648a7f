"""Operations counted layer by layer against a count by hand of every product of a small transformer."""

from __future__ import annotations

import numpy as np
import pytest
from t2fast.compute import train_flops
from t2fast.costs.flops import Architecture, query_flops

SMALL = Architecture(layers=3, width=8, hidden=20, vocab=50, heads=4, head_dim=2, kv_heads=2, gated=True)


def by_hand(shape: Architecture, tokens: int, context: int) -> int:
    """Twice the multiplications of every matrix product, token by token."""
    total = 0
    for position in range(context, context + tokens):
        for _ in range(shape.layers):
            rows = shape.heads * shape.head_dim
            small = (shape.kv_heads or shape.heads) * shape.head_dim
            total += 2 * (2 * shape.width * rows + 2 * shape.width * small)
            for _ in range(shape.heads):
                total += 2 * shape.head_dim * (position + 1)  # scores
                total += 2 * shape.head_dim * (position + 1)  # their sum over values
            total += 2 * (3 if shape.gated else 2) * shape.width * shape.hidden
        total += 2 * shape.width * shape.vocab
    return total


@pytest.mark.parametrize(("tokens", "context"), [(1, 0), (7, 0), (3, 11)])
def test_a_forward_pass_is_its_products(tokens: int, context: int) -> None:
    assert SMALL.forward_flops(tokens, context) == by_hand(SMALL, tokens, context)


def test_training_and_queries_are_made_of_forward_passes() -> None:
    assert SMALL.train_flops(4 * 16, 16) == 3 * 4 * by_hand(SMALL, 16, 0)
    assert SMALL.query_flops(5, 3, 4) == by_hand(SMALL, 5, 0) + 4 * by_hand(SMALL, 3, 5)
    full = Architecture(layers=2, width=8, hidden=32, vocab=50, heads=4, head_dim=2, gated=False)
    s = 16
    blocks = 2 * 3 * s * 8 * 8 + 2 * s * 8 * 8 + 2 * s * s * 8 * 2 + 2 * s * 2 * 8 * 32
    assert full.train_flops(s, s, attention="full") == 3 * (2 * blocks + 2 * s * 8 * 50)


def test_which_parameters_are_counted_is_explicit() -> None:
    blocks = 3 * (8 * (8 + 4 + 4 + 8) + 3 * 8 * 20)
    assert SMALL.block_params == SMALL.n_params(embedding=False, head=False) == blocks
    assert SMALL.n_params(embedding=False) == blocks + 400
    assert SMALL.n_params() == blocks + 800
    tied = Architecture(layers=3, width=8, hidden=20, vocab=50, heads=4, head_dim=2, kv_heads=2, tied=True)
    assert tied.n_params() == tied.n_params(embedding=False) == blocks + 400


def test_a_published_size() -> None:
    # Llama 2 7B: 6.738e9 parameters, of which norms (65 of width 4096) are no matrices.
    llama = Architecture(layers=32, width=4096, hidden=11008, vocab=32000, heads=32, head_dim=128)
    assert llama.n_params() + 65 * 4096 == 6_738_415_616
    long = llama.train_flops(1e12, 4096)
    assert long / train_flops(llama.n_params(embedding=False), 1e12) == pytest.approx(1.08, abs=0.01)
    assert query_flops(1e9, 500, 400, 8) == pytest.approx(2e9 * 3700)
    assert np.asarray(llama.query_flops(500, 400, np.array([1, 8]))).shape == (2,)
