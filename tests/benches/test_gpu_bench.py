"""The GPU bench's count of bytes and FLOPs, held to counts made another way; its run without a GPU."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

BENCH = Path(__file__).resolve().parents[2] / "benches" / "gpu_decode.py"


@pytest.fixture(scope="module")
def bench() -> ModuleType:
    sys.path.insert(0, str(BENCH.parent))  # as for a program: what it shares lies beside it
    spec = importlib.util.spec_from_file_location("gpu_decode", BENCH)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["gpu_decode"] = module  # where dataclasses look their annotations up
    spec.loader.exec_module(module)
    return module


# Tensor by tensor, as its file lists them: 30 layers of nine tensors, an embedding that is the head as well.
SMOLLM2 = {"token_embd": (49152, 576), "output_norm": (576,)} | {
    f"blk.{i}.{name}": size
    for i in range(30)
    for name, size in {
        "attn_norm": (576,),
        "attn_q": (576, 576),
        "attn_k": (192, 576),
        "attn_v": (192, 576),
        "attn_output": (576, 576),
        "ffn_norm": (576,),
        "ffn_gate": (1536, 576),
        "ffn_up": (1536, 576),
        "ffn_down": (576, 1536),
    }.items()
}


def test_weights_of_smollm2(bench: ModuleType) -> None:
    m = next(m for m in bench.MODELS if m.name == "SmolLM2-135M")
    matrices = sum(size[0] * size[1] for size in SMOLLM2.values() if len(size) == 2)
    norms = sum(size[0] for size in SMOLLM2.values() if len(size) == 1)
    assert m.n_params == matrices + norms == 134_515_008
    for rows in (1, 1024):
        costs = bench.step_costs(m, rows, 512, 64)
        assert sum(cost.weights for cost in costs) == 2 * matrices + 4 * norms


def test_models_of_the_paper(bench: ModuleType) -> None:
    counts = {m.name: m.matrices for m in bench.MODELS}
    assert (counts["37M"], counts["901M"]) == (37_060_608, 901_726_208)


def counted_flops(m: object, rows: int, prompt: int, own: int) -> int:
    """Two for every product of a weight or a cached number that a plain decoder forms, loop by loop."""
    products = 0
    width, d = m.width, m.head_dim
    for _ in range(rows):
        for _ in range(m.layers):
            for outputs in (m.heads * d, m.kv_heads * d, m.kv_heads * d):
                products += outputs * width
            for _ in range(m.heads):
                for _ in range(prompt + own):
                    products += d  # query by key
                    products += d  # weight by value
            products += width * m.heads * d
            for _ in ("gate", "up"):
                products += m.hidden * width
            products += width * m.hidden
        products += m.vocab * width
    return 2 * products


def test_flops_and_caches(bench: ModuleType) -> None:
    m = dataclasses.replace(bench.TINY, layers=3, heads=6, kv_heads=2, head_dim=10, vocab=77)
    rows, prompt, own = 5, 13, 4
    costs = {cost.kernel: cost for cost in bench.step_costs(m, rows, prompt, own)}
    assert sum(cost.flops for cost in costs.values()) == counted_flops(m, rows, prompt, own)
    heads = [(layer, head, side) for layer in range(3) for head in range(2) for side in "kv"]
    # In bfloat16: the prompt's entries once, each row's own ones read, and its newest one written.
    assert costs["prefix"].caches == len(heads) * prompt * 10 * 2
    assert costs["suffix"].caches == rows * len(heads) * own * 10 * 2
    assert costs["qkv"].caches == rows * len(heads) * 10 * 2
    in_8_bits = {cost.kernel: cost for cost in bench.step_costs(m, rows, prompt, own, own_entry=10 + 4)}
    assert in_8_bits["suffix"].caches == rows * len(heads) * own * (10 + 4)
    assert in_8_bits["prefix"] == costs["prefix"]


def test_roofline_is_below_the_kernels(bench: ModuleType) -> None:
    for m in bench.MODELS:
        for k in (1, 64, 1024, 10_000):
            for gpu in bench.GPUS:
                costs = bench.step_costs(m, k, 512, 64)
                assert max(bench.roofline(costs, gpu)) <= sum(cost.seconds(gpu) for cost in costs)


def test_every_program_reads_its_tile(bench: ModuleType) -> None:
    """Sums over the programs of a launch, one by one."""
    m, rows, prompt = bench.TINY, 70, 30
    tiles = SimpleNamespace(rows=16, columns=32, vocabulary=64, split=16, heads=2, prefix_rows=lambda _: 8)
    reads = bench.tile_reads(m, rows, prompt, tiles)

    def launch(outputs: int, tile: int, row_bytes: int, inputs: int) -> tuple[int, int, int]:
        programs = matrix = of_rows = 0
        for first_row in range(0, rows, 16):
            for first in range(0, outputs, tile):
                programs += 1
                matrix += (min(first + tile, outputs) - first) * inputs * 2
                of_rows += (min(first_row + 16, rows) - first_row) * row_bytes
        return programs, matrix, of_rows

    expected = {
        "o": launch(72, 32, 72 * 2, 72),
        "down": launch(72, 32, 96 * 2, 96),
        "head": launch(131, 64, 72 * 2, 72),
        "qkv": launch(8 * 18, 2 * 18, 72 * 2, 72),
    }
    for kernel, (programs, matrix, of_rows) in expected.items():
        calls = 1 if kernel == "head" else m.layers
        assert dataclasses.astuple(reads[kernel]) == (programs, calls * matrix, calls * of_rows), kernel
    blocks, splits = 9, 2
    assert reads["prefix"].programs == blocks * m.kv_heads * splits
    assert reads["prefix"].weights == m.layers * blocks * 2 * m.kv_heads * m.head_dim * prompt * 2


@pytest.fixture
def run() -> Callable[..., list[str]]:
    def lines(*options: str) -> list[str]:
        command = [sys.executable, str(BENCH), *options]
        hidden = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "HIP_VISIBLE_DEVICES": ""}
        return subprocess.run(
            command, check=True, capture_output=True, text=True, env=hidden
        ).stdout.splitlines()

    return lines


def test_without_a_gpu(run: Callable[..., list[str]]) -> None:
    *_, before, last = run("--gpu", "L4", "--k", "1", "64")
    assert "nothing was timed" in before
    result = json.loads(last)
    assert result["gpu"] == "L4"
    assert "timings" not in result
    assert [(row["model"], row["k"]) for row in result["roofline"]] == [
        (name, k) for name in ("37M", "SmolLM2-135M", "901M") for k in (1, 64)
    ]
    for row in result["roofline"]:
        # A data sheet's 300 GB/s: one row of the 37M model needs its 74 MB of weights.
        assert row["step_seconds"] >= row["weights"] / 300e9
        assert sum(row["shares"].values()) == pytest.approx(1)
