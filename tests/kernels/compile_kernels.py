"""Compile every kernel for GPUs that are not here, and report what the compiler made of it.

    python tests/kernels/compile_kernels.py sm_90 [sm_80 sm_100 gfx942]

The launchers run on tensors without data, at the shapes of three models, with launching replaced: each call
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
from types import SimpleNamespace
from typing import Any

import torch
import triton
from t2fast.kernels.compact import compact
from t2fast.kernels.layout import Blocks, Cache, Layer, Linear, Norm, Prompts, Rows, Shape, Tiles, Weights
from t2fast.kernels.step import Filters, Space, State, step
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource, make_backend
from triton.runtime.jit import JITFunction, create_function_from_signature

TARGETS = {
    "sm_80": GPUTarget("cuda", 80, 32),
    "sm_90": GPUTarget("cuda", 90, 32),
    "sm_100": GPUTarget("cuda", 100, 32),
    "gfx942": GPUTarget("hip", "gfx942", 64),
}
SHAPES = {
    "37M": Shape(8, 384, 6, 6, 64, 1024, 50304, 1e-5, layer_norm=True, head_norm="row"),
    "135M": Shape(30, 576, 9, 3, 64, 1536, 49152, 1e-5),
    "900M": Shape(
        24, 1536, 12, 12, 128, 6144, 50304, 1e-5, layer_norm=True, activation="gelu", parallel=True
    ),
}
FP8 = ("sm_90", "sm_100")
"""Targets whose conversions know float8_e4m3fn."""
ROWS = 1024
BIN = Path(triton.__file__).parent / "backends" / "nvidia" / "bin"


def main(names: list[str]) -> None:
    for name in names:
        for model, shape in SHAPES.items():
            seen = set()
            for kernel, arguments, options in launches(shape, fp8=name in FP8):
                compiled = compile_for(TARGETS[name], kernel, arguments, options)
                if compiled.hash not in seen:
                    seen.add(compiled.hash)
                    print(json.dumps({"target": name, "model": model, **resources(compiled)}), flush=True)


def launches(
    shape: Shape, *, fp8: bool
) -> Iterator[tuple[JITFunction[Any], tuple[Any, ...], dict[str, Any]]]:
    """Every launch of steps of one layer: plain, with filters, greedy and (if asked) with an fp8 cache."""
    recorded: list[tuple[JITFunction[Any], tuple[Any, ...], dict[str, Any]]] = []

    def record(self: JITFunction[Any], *arguments: Any, grid: Any, warmup: bool, **options: Any) -> None:
        recorded.append((self, arguments, options))

    original, JITFunction.run = JITFunction.run, record
    try:
        weights = weights_of(shape)
        tiles = Tiles.of(shape)
        for filters, small in (
            (Filters(), False),
            (Filters(greedy=True), fp8),
            (Filters(top_k=50, top_p=0.9, min_p=0.01), False),
        ):
            state = state_of(shape, small)
            step(weights, state, Space(weights, ROWS, 4), tiles, filters)
        compact(state.rows, state.rows, empty(ROWS, dtype=torch.int32), state.rows)
    finally:
        JITFunction.run = original
    yield from recorded


def empty(*size: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.empty(size, dtype=dtype, device="meta")


def weights_of(s: Shape) -> Weights:
    """One layer of the model in bfloat16."""

    def norm(n: int) -> Norm:
        return Norm(empty(n), empty(n) if s.activation == "gelu" else None)

    def linear(n_out: int, n_in: int) -> Linear:
        weight = empty(n_out, n_in, dtype=torch.bfloat16)
        return Linear(weight, empty(n_out) if s.activation == "gelu" else None)

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
    table = empty(s.vocab, s.width, dtype=torch.bfloat16)
    return Weights(s, table, [layer], norm(s.width), Linear(table), empty(2, 2048, s.head_dim // 2))


def state_of(s: Shape, fp8: bool) -> State:
    def whole(*size: int) -> torch.Tensor:
        return empty(*size, dtype=torch.int32)

    own = (ROWS, s.kv_heads, 256)
    stored = torch.float8_e4m3fn if fp8 else torch.bfloat16
    caches = Cache(
        *(empty(*own, s.head_dim, dtype=stored) for _ in range(2)),
        *(empty(*own) if fp8 else None for _ in range(2)),
    )
    pool = Cache(*(empty(s.kv_heads, 4096, s.head_dim, dtype=torch.bfloat16) for _ in range(2)))
    return State(
        rows=Rows(whole(8, ROWS)),
        blocks=Blocks(whole(64), whole(64), whole(64)),
        prompts=Prompts(whole(16), whole(16)),
        pools=[pool],
        caches=[caches],
        temperature=empty(1),
        stop_tokens=whole(2),
        tokens=whole(ROWS, 256),
        raw=empty(ROWS, 256),
        processed=empty(ROWS, 256),
    )


def compile_for(
    target: GPUTarget, kernel: JITFunction[Any], arguments: tuple[Any, ...], options: dict[str, Any]
) -> Any:
    """Compile a launch, specialised on its arguments as Triton specialises it when it launches."""
    backend = make_backend(target)
    bind = create_function_from_signature(kernel.signature, kernel.params, backend)
    options = {**options, "debug": False, "instrumentation_mode": "", "fpsan_homomorphic_casts": False}
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
    numbers = SimpleNamespace(**{k: int(v) for k, v in re.findall(r"(\w+):(\d+)", usage)})
    return {
        "registers": numbers.REG,
        "spills": numbers.LOCAL + numbers.STACK,
        "products": sorted(set(re.findall(r"\b(wgmma\.mma_async|mma\.sync|tcgen05\.mma)", ptx))),
        "fused": bool(re.search(r"\bfma\.rn\.f32", ptx)),
    }


if __name__ == "__main__":
    main(sys.argv[1:])
