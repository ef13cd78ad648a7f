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
PRODUCTS = {
    "_qkv", "_prefix_attention", "_suffix_attention", "_prompt_attention", "_project", "_hidden",
}  # fmt: skip
KERNELS = PRODUCTS | {
    "_norm", "_draw_tile", "_logits", "_embed", "_draw_row", "_choose", "_advance", "_compact",
}  # fmt: skip
SHARED = {"sm_80": 163, "sm_90": 227, "sm_100": 227, "gfx942": 64}
"""KiB of shared memory that a program may have, from the vendors' tuning guides."""
TENSOR_CORES = {
    "sm_80": {"mma.sync"},
    "sm_90": {"wgmma.mma_async", "mma.sync"},
    "sm_100": {"tcgen05.mma", "mma.sync"},
}
SPILLED = {"d256/float32": {"_prefix_attention": 16, "_prompt_attention": 40, "_suffix_attention": 80}}
"""Bytes a thread that a kernel may spill on NVIDIA's GPUs: what Triton 3.6 or 3.9 leaves at most with the
smallest tiles there are. Three products of TF32 stand in for one of float32 there, and a query of 256
coordinates takes all registers. Nothing else spills."""
HEADS = ("d32", "d64", "d64-row", "d80", "d128", "d256")
QUICK = {
    ("sm_80", "d128/float32"), ("sm_80", "d256/bfloat16"),
    ("sm_90", "d64/bfloat16"), ("sm_90", "d256/float32"),
    ("sm_100", "d32/bfloat16"), ("sm_100", "d64-row/float32"), ("gfx942", "d80/bfloat16"),
    ("gfx942", "d128/float32"),
}  # fmt: skip
"""Every target, type and head size at least once."""
ALL = [(target, f"{head}/{t}") for target in SHARED for head in HEADS for t in ("float32", "bfloat16")]


def program(tmp_path: Path, *arguments: str) -> list[dict[str, Any]]:
    """What `compile_kernels.py` reports."""
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    environment["TRITON_CACHE_DIR"] = str(tmp_path)
    done = subprocess.run(
        [sys.executable, PROGRAM, *arguments], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.parametrize(
    ("target", "case"), [pytest.param(*a, marks=() if a in QUICK else pytest.mark.slow) for a in ALL]
)
def test_every_kernel_compiles_within_its_limits(target: str, case: str, tmp_path: Path) -> None:
    found = program(tmp_path, target, case)
    products = PRODUCTS | {"_draw_tile", "_logits"}
    assert {f["kernel"] for f in found} >= KERNELS
    assert any(f["kernel"] == "_norm_of_all_heads" for f in found) == case.startswith("d64-row")
    for f in found:
        allowed = {} if target == "gfx942" else SPILLED.get(case, {})
        assert f["spills"] <= allowed.get(f["kernel"], 0), f
        assert f["registers"] <= (512 if target == "gfx942" else 65536 // (32 * f["warps"])), f
        assert f["shared"] <= SHARED[target] * 1024, f
        if f["kernel"] not in products:
            assert not f["products"], f
        else:
            assert f["products"], f
            assert target == "gfx942" or set(f["products"]) <= TENSOR_CORES[target], f
        # Fusion is off. What libraries write with fused instructions by themselves (log on NVIDIA, flushing
        # denormals; exp, log and division on AMD) stays.
        assert target == "gfx942" or not f["fused"], f
    wide = {f["kernel"] for f in found if f["products"] not in ([], ["mma.sync"])}
    if target in ("sm_90", "sm_100") and case.endswith("bfloat16"):
        # Tiles of 64 rows take the newest generation's instruction; a suffix's 16 queries the older one.
        assert wide == products - {"_suffix_attention"}


def test_no_number_of_rows_is_compiled_anew(tmp_path: Path) -> None:
    """Whether it is 1, a multiple of 16 or neither, and however the tables of rows are aligned for it."""
    kinds = {line["rows"]: line["variants"] for line in program(tmp_path, "variants")}
    assert list(kinds) == [1, 7, 64, 1000]
    assert len(kinds[1]) > len(KERNELS)
    assert kinds[1] == kinds[7] == kinds[64] == kinds[1000]
