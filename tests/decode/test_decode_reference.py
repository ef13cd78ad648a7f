"""The reference against transformers: it is the oracle of the engine, so it has to be right first."""

from __future__ import annotations

import decode_models as models
import numpy as np
import pytest
import reference_files
import torch
import transformers
from scipy import stats
from t2fast.kernels.choice import choose
from t2fast.kernels.rng import hash64

TOKENS = np.random.default_rng(0).integers(3, 130, 40).tolist()


@pytest.mark.parametrize("name", [*models.FOLDERS, *models.GGUFS])
def test_logits_are_those_of_transformers(model, name):
    path, peer = model(name)
    with torch.no_grad():
        expected = peer(torch.tensor([TOKENS])).logits[0]
    found = reference_files.load(path).logits(TOKENS)
    assert found.shape == expected.shape
    assert (found - expected).abs().max() < 1e-5 * expected.abs().max()
    assert expected.std() > 1  # far from uniform: a mistake would show


def test_processed_log_probabilities_are_those_of_transformers_warpers():
    rng = np.random.default_rng(1)
    logits = (3 * rng.normal(size=(200, 61))).astype(np.float32)
    for row, scores in enumerate(logits):
        t, k, p, m = rng.uniform(0.3, 2), int(rng.integers(1, 40)), rng.uniform(0.2, 1), rng.uniform(0, 0.3)
        warped = torch.from_numpy(scores[None]).double()
        for warper in (
            transformers.TemperatureLogitsWarper(t),
            transformers.TopKLogitsWarper(k),
            transformers.TopPLogitsWarper(p),
            transformers.MinPLogitsWarper(m),
        ):
            warped = warper(None, warped)
        expected = warped.log_softmax(-1)[0]
        drawn = choose(scores, 5, row, 0, temperature=t, top_k=k, top_p=p, min_p=m)
        assert drawn.processed == pytest.approx(float(expected[drawn.id]), abs=1e-5)
        raw = torch.from_numpy(scores).double().log_softmax(-1)
        assert drawn.logprob == pytest.approx(float(raw[drawn.id]), abs=1e-12)


def test_equal_logits_rank_by_token_id():
    flat = np.zeros(10, dtype=np.float32)
    assert choose(flat, 0, 0, 0, temperature=0).id == 0
    assert {choose(flat, 0, i, 0, top_k=3).id for i in range(100)} == {0, 1, 2}


def test_draws_follow_the_distribution():
    logits = np.random.default_rng(2).normal(size=20).astype(np.float32)
    p = np.exp(logits.astype(float)) / np.exp(logits.astype(float)).sum()
    draws = [choose(logits, hash64(0, "chi"), i, 0).id for i in range(5000)]
    assert stats.chisquare(np.bincount(draws, minlength=20), 5000 * p).pvalue > 1e-4
