"""What a model takes of memory, by hand and beside models that are published."""

from __future__ import annotations

import pytest
from t2fast.costs import Architecture, Machine, Room, Served, accelerator, cache_bytes

LLAMA_7B = Architecture(32, 4096, 11008, 32000, 32, 128)


def test_caches_of_published_models() -> None:
    assert cache_bytes(LLAMA_7B) == 2 * 2 * 32 * 32 * 128
    # Llama 3 8B: 32 layers of 8 key and value heads of 128.
    assert cache_bytes(Architecture(32, 4096, 14336, 128256, 32, 128, kv_heads=8)) == 131072
    # By N alone: within a tenth of those whose heads share nothing, Llama 7B, 13B and Pythia 1.4B.
    assert cache_bytes(6.74e9) == pytest.approx(524288, rel=0.1)
    assert cache_bytes(13.0e9) == pytest.approx(4 * 40 * 5120, rel=0.1)
    assert cache_bytes(1.41e9) == pytest.approx(4 * 24 * 2048, rel=0.1)


def test_a_model_has_the_chips_that_hold_it() -> None:
    machine = Machine(accelerator("TPU v5e"), usd_per_hour=1.2)
    # 7.7B weights of two bytes are 15.4 GB; 8 samples of 1000 tokens of 0.1 MB 0.8 GB more: over 16 GB.
    room = Room.of(machine, Served(7.7e9, 7.7e9, 1e5), 8, 600, 400)
    assert (room.chips, room.asked) == (2, 1)
    assert (room.weights, room.caches, room.memory) == (15.4e9, 0.8e9, 32e9)
    assert room.largest_batch == 166
    assert Room.of(machine, Served(7.7e9, 7.7e9, 1e5), 6, 600, 400).chips == 1
    for said in ("2 chips of TPU v5e, 32 GB: weights 15.4 GB", "0.8 GB", "binds at a batch of 166"):
        assert said in str(room)


def test_samples_beyond_memory_wait() -> None:
    machine = Machine(accelerator("H100"), usd_per_hour=2.5, mfu=0.4, mbu=0.6)
    model = Served(20e9, 20e9, 1e6)
    room = Room.of(machine, model, 8, 500, 500)
    assert room.largest_batch == 40
    # By hand: the prompt by arithmetic or the weights, a step by bytes: weights and the rows' caches.
    prompt = max(2 * 20e9 * 500 / (0.4 * 989e12), 40e9 / (0.6 * 3.35e12))
    for k, together, rounds in ((1, 1, 1), (40, 40, 1), (41, 40, 2), (100, 40, 3)):
        step = (40e9 + together * 750 * 1e6) / (0.6 * 3.35e12)
        assert room.seconds(k) == pytest.approx(prompt + rounds * 500 * step)
    read = 2 * 20e9 / (0.4 * 989e12) * 2.5 / 3600
    written = (40e9 + 8 * 750 * 1e6) / (0.6 * 3.35e12) / 8 * 2.5 / 3600
    assert room.usd_per_query(3) == pytest.approx(500 * read + 3 * 500 * written)
    assert room.to_dict()["largest_batch"] == 40
    assert Room.of(machine, Served(1e9, 1e9), 8, 500, 500).to_dict()["largest_batch"] is None
