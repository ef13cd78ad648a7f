"""What the compiler makes of every kernel for GPUs that are not here: resources, spills, instructions."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

PROGRAM = Path(__file__).with_name("compile_kernels.py")
PRODUCTS = {"_qkv", "_prefix_attention", "_suffix_attention", "_project", "_hidden", "_draw_tile", "_logits"}
KERNELS = PRODUCTS | {"_embed", "_draw_row", "_choose", "_advance", "_compact"}
SHARED = {"sm_80": 163, "sm_90": 227, "sm_100": 227, "gfx942": 64}
"""KiB of shared memory that a program may have, from the vendors' tuning guides."""
TENSOR_CORES = {
    "sm_80": {"mma.sync"},
    "sm_90": {"wgmma.mma_async", "mma.sync"},
    "sm_100": {"tcgen05.mma", "mma.sync"},
    "gfx942": set(),
}


@pytest.mark.parametrize("target", SHARED)
def test_every_kernel_compiles_within_its_limits(target: str, tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    environment["TRITON_CACHE_DIR"] = str(tmp_path)
    done = subprocess.run(
        [sys.executable, PROGRAM, target], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found: list[dict[str, Any]] = [json.loads(line) for line in done.stdout.splitlines()]
    for model in ("37M", "135M", "900M"):
        assert {f["kernel"] for f in found if f["model"] == model} >= KERNELS
    assert any(f["kernel"] == "_norm_of_all_heads" for f in found)
    for f in found:
        assert f["spills"] == 0, f
        assert f["registers"] * f["warps"] * 32 <= 65536, f
        assert f["shared"] <= SHARED[target] * 1024, f
        assert not f["fused"], f
        if f["kernel"] not in PRODUCTS:
            assert not f["products"], f
        elif target == "gfx942":
            assert f["products"], f
        else:
            assert f["products"], f
            assert set(f["products"]) <= TENSOR_CORES[target], f
    wide = {f["kernel"] for f in found if f["products"] not in ([], ["mma.sync"])}
    if target in ("sm_90", "sm_100"):
        # Tiles of 64 rows take the newest generation's instruction; a suffix's 16 queries the older one.
        assert wide == PRODUCTS - {"_suffix_attention"}
