"""Compile every kernel for GPUs that are not here, and report what the compiler made of it.

    python tests/kernels/compile_kernels.py sm_90 [CASE ...]
    python tests/kernels/compile_kernels.py variants     # what would be compiled for several numbers of rows

The launchers run on tensors without data, at the shapes of several models, with launching replaced: each call
is compiled as it would be on the target. Prints one JSON object a kernel. A program of its own because
kernels declared for the interpreter cannot be compiled.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
import triton
import triton.language as tl
from t2fast.kernels import primitives, step, triton_ops
from t2fast.kernels.batch import Blocks, Cache, Prompts, Rows
from t2fast.kernels.model import Layer, Linear, Norm, Shape, Tiles, Weights
from t2fast.kernels.step import Filters, Space, State
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource, make_backend
from triton.runtime.jit import JITFunction, create_function_from_signature

TARGETS = {
    "sm_80": GPUTarget("cuda", 80, 32),
    "sm_90": GPUTarget("cuda", 90, 32),
    "sm_100": GPUTarget("cuda", 100, 32),
    "gfx942": GPUTarget("hip", "gfx942", 64),
}
OPEN_LM = {"layer_norm": True, "head_norm": "row"}
NEOX = {"layer_norm": True, "activation": "gelu", "parallel": True}
SHAPES = {
    "d32": Shape(30, 1504, 47, 47, 32, 4096, 50432, 1e-5),
    "d64": Shape(30, 576, 9, 3, 64, 1536, 49152, 1e-5),
    "d64-row": Shape(10, 384, 6, 6, 64, 1024, 50432, 1e-5, **OPEN_LM),
    "d80": Shape(32, 2560, 32, 32, 80, 10240, 50304, 1e-5, **NEOX),
    "d128": Shape(28, 1024, 16, 8, 128, 3072, 151936, 1e-6, head_norm="head"),
    "d256": Shape(16, 2048, 8, 8, 256, 8192, 50304, 1e-5, **NEOX),
}
"""The T² paper's largest model, SmolLM2-135M, OpenLM's 37M, Pythia-2.8B, Qwen3-0.6B, Pythia-1B."""
TYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
FP8 = ("sm_90", "sm_100")
"""Targets whose conversions know float8_e4m3fn."""
DEVICE = "meta"
BIN = Path(triton.__file__).parent / "backends" / "nvidia" / "bin"


def main(target: str, cases: list[str]) -> None:
    primitives.PRECISION = tl.constexpr("ieee" if target.startswith("gfx") else "tf32x3")
    for case in cases or [f"{shape}/{dtype}" for shape in SHAPES for dtype in TYPES]:
        shape, dtype = case.split("/")
        seen = set()
        for kernel, arguments, options in launches(SHAPES[shape], TYPES[dtype], fp8=target in FP8):
            compiled = compile_for(TARGETS[target], kernel, arguments, options)
            if compiled.hash not in seen:
                seen.add(compiled.hash)
                print(json.dumps({"case": case, **resources(compiled)}), flush=True)


Launch = tuple[JITFunction[Any], tuple[Any, ...], dict[str, Any]]


def launches(
    s: Shape, dtype: torch.dtype, *, fp8: bool, rows: int = 1024, device: str = "meta"
) -> Iterator[Launch]:
    """Every launch of steps of one layer: plain, with filters, greedy and (if asked) with an fp8 cache."""
    global DEVICE  # noqa: PLW0603
    DEVICE = device
    recorded: list[Launch] = []

    def record(self: JITFunction[Any], *arguments: Any, grid: Any, warmup: bool, **options: Any) -> None:
        recorded.append((self, arguments, options))

    original, JITFunction.run = JITFunction.run, record
    try:
        weights, tiles = weights_of(s, dtype), Tiles.of(s, dtype)
        for filters, small in (
            (Filters(), False),
            (Filters(greedy=True), fp8),
            (Filters(top_k=50, top_p=0.9, min_p=0.01), False),
        ):
            state = state_of(s, dtype, rows, small)
            space = Space(weights, tiles, rows, 4, filters)
            step.step(weights, state, space, tiles, filters, triton_ops)
        step.read(weights, state.rows, state.prompts, state.blocks, state.pools, space, tiles, triton_ops)
        triton_ops.compact(state.rows, state.rows, empty(rows, dtype=torch.int32), state.rows)
    finally:
        JITFunction.run = original
    yield from recorded


def variants() -> None:
    """What Triton tells apart for each number of rows: with real tensors, whose addresses count."""
    backend = make_backend(TARGETS["sm_90"])
    small = Shape(1, 72, 4, 2, 18, 96, 131, 1e-5, **OPEN_LM)
    for rows in (1, 7, 64, 1000):
        found = set()
        for kernel, arguments, options in launches(small, torch.bfloat16, fp8=True, rows=rows, device="cpu"):
            bind = create_function_from_signature(kernel.signature, kernel.params, backend)
            found.add(f"{kernel.__name__} {bind(*arguments, **options)[1:]}")
        print(json.dumps({"rows": rows, "variants": sorted(found)}))


def empty(*size: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.empty(size, dtype=dtype, device=DEVICE)


def weights_of(s: Shape, dtype: torch.dtype) -> Weights:
    """One layer of the model."""

    def norm(n: int) -> Norm:
        return Norm(empty(n), empty(n) if s.activation == "gelu" else None)

    def linear(n_out: int, n_in: int) -> Linear:
        return Linear(empty(n_out, n_in, dtype=dtype), empty(n_out) if s.activation == "gelu" else None)

    heads = {None: 0, "head": 2, "row": s.heads + s.kv_heads}[s.head_norm]
    layer = Layer(
        norm(s.width),
        linear((s.heads + 2 * s.kv_heads) * s.head_dim, s.width),
        norm(heads * s.head_dim) if heads else None,
        linear(s.width, s.heads * s.head_dim),
        norm(s.width),
        linear(s.hidden, s.width) if s.activation == "swiglu" else None,
        linear(s.hidden, s.width),
        linear(s.width, s.hidden),
    )
    table = empty(s.vocab, s.width, dtype=dtype)
    return Weights(s, table, [layer], norm(s.width), Linear(table), empty(2, 2048, s.head_dim // 2))


def state_of(s: Shape, dtype: torch.dtype, rows: int, fp8: bool) -> State:
    def whole(*size: int) -> torch.Tensor:
        return empty(*size, dtype=torch.int32)

    own = (rows, s.kv_heads, 256)
    stored = torch.float8_e4m3fn if fp8 else dtype
    caches = Cache(
        *(empty(*own, s.head_dim, dtype=stored) for _ in range(2)),
        *(empty(*own) if fp8 else None for _ in range(2)),
    )
    pool = Cache(*(empty(s.kv_heads, 4096, s.head_dim, dtype=dtype) for _ in range(2)))
    return State(
        rows=Rows(whole(8, rows)),
        blocks=Blocks(whole(64), whole(64), whole(64)),
        prompts=Prompts(whole(16), whole(16)),
        pools=[pool],
        caches=[caches],
        temperature=empty(1),
        limit=whole(1),
        stop_tokens=whole(2),
        tokens=whole(rows, 256),
        raw=empty(rows, 256),
        processed=empty(rows, 256),
    )


def compile_for(
    target: GPUTarget, kernel: JITFunction[Any], arguments: tuple[Any, ...], options: dict[str, Any]
) -> Any:
    """Compile a launch, specialised on its arguments as Triton specialises it when it launches."""
    backend = make_backend(target)
    bind = create_function_from_signature(kernel.signature, kernel.params, backend)
    known = vars(backend.parse_options({}))
    usual = {"debug": False, "instrumentation_mode": "", "fpsan_homomorphic_casts": False}
    options |= {name: value for name, value in usual.items() if name in known}
    bound, specialization, rest = bind(*arguments, **options)
    parsed, signature, constants, attributes = kernel._pack_args(
        backend, options, bound, specialization, rest
    )
    source = ASTSource(kernel, signature, constants, attributes)
    return triton.compile(source, target=target, options=parsed.__dict__)


def resources(compiled: Any) -> dict[str, Any]:
    """Registers, shared memory and spills as the compiler reports them, and the instructions of products."""
    found = {
        "kernel": compiled.metadata.name,
        "shared": compiled.metadata.shared,
        "warps": compiled.metadata.num_warps,
    }
    if "cubin" in compiled.asm:
        return found | nvidia(compiled.asm["cubin"], compiled.asm["ptx"])
    text = compiled.asm["amdgcn"]

    def number(key: str) -> int:
        return int(re.search(rf"\.{key}:\s+(\d+)", text)[1])  # type: ignore[index]

    return found | {
        "registers": number("vgpr_count"),
        "spills": number("vgpr_spill_count"),
        "products": sorted(set(re.findall(r"\bv_mfma_f32_\d+x\d+", text))),
        "fused": "v_fma_f32" in text,
    }


def nvidia(cubin: bytes, ptx: str) -> dict[str, Any]:
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(cubin)
        file.flush()
        usage = subprocess.run(
            [BIN / "cuobjdump", "-res-usage", file.name], capture_output=True, text=True, check=True
        ).stdout
    numbers = {k: int(v) for k, v in re.findall(r"(\w+):(\d+)", usage)}
    return {
        "registers": numbers["REG"],
        "spills": numbers["LOCAL"] + numbers["STACK"],
        "products": sorted(set(re.findall(r"\b(wgmma\.mma_async|mma\.sync|tcgen05\.mma)", ptx))),
        "fused": bool(re.search(r"\bfma\.rn\.f32", ptx)),
    }


if __name__ == "__main__":
    variants() if sys.argv[1] == "variants" else main(sys.argv[1], sys.argv[2:])
