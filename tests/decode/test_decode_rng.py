"""Random numbers: Random123's known answers, Gumbel's distribution, keys."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from t2fast.kernels.rng import gumbel, hash64, philox


@pytest.mark.parametrize(
    ("counter", "key", "expected"),
    [
        ((0, 0, 0, 0), 0, (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
        ((0xFFFFFFFF,) * 4, 2**64 - 1, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
        (
            (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
            0x299F31D0A4093822,
            (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
        ),
    ],
)
def test_philox_gives_the_published_answers(counter, key, expected):
    words = philox(key, np.array([counter, (1, 2, 3, 4), counter], dtype=np.uint32))
    assert tuple(words[0]) == tuple(words[2]) == expected
    assert tuple(words[1]) != expected


def test_noise_is_gumbel_and_independent_between_samples_and_positions():
    noise = {(s, p): gumbel(hash64(3, "x"), s, p, 50_001) for s in range(3) for p in range(3)}
    for values in noise.values():
        assert values.dtype == np.float32
        assert stats.kstest(values, "gumbel_r").pvalue > 1e-4
    stacked = np.corrcoef(np.stack(list(noise.values())))
    assert np.abs(stacked[~np.eye(9, dtype=bool)]).max() < 5 / np.sqrt(50_001)


def test_noise_of_a_token_does_not_depend_on_the_vocabulary():
    assert np.array_equal(gumbel(9, 1, 2, 1001)[:77], gumbel(9, 1, 2, 77))


def test_keys_differ_by_seed_and_problem():
    keys = {hash64(seed, problem) for seed in range(50) for problem in [*range(50), "a", "b"]}
    assert len(keys) == 50 * 52
    assert hash64(1, 23) == hash64(1, "23")
    assert hash64(0, 0) == 0x2CE2D2BBF79FF74E or hash64(0, 0) < 2**64
