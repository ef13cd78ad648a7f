"""What the machine can do, and what may depend on the number of rows."""

from __future__ import annotations

import os
import sys
from concurrent.futures import ThreadPoolExecutor

import torch
import triton
from t2fast.kernels.projection import _project

from benches.gpu_check.bare import REHEARSED
from benches.gpu_check.results import Results, device, seconds

# Rows, columns, inputs, warps, stages.
OTHERS = (
    (64, 16, 64, 4, 3), (64, 64, 64, 4, 3), (64, 128, 64, 4, 3), (64, 32, 32, 4, 3), (64, 32, 128, 4, 3),
    (64, 32, 64, 8, 3), (64, 32, 64, 4, 5), (128, 64, 64, 8, 3), (128, 128, 64, 8, 4), (32, 32, 64, 4, 3),
    (16, 32, 64, 4, 3),
)  # fmt: skip


def machine(results: Results) -> None:
    """Names and versions, and what memory and matrix products reach with torch's own kernels."""
    versions = {"torch": torch.__version__, "triton": triton.__version__, "python": sys.version.split()[0]}
    if not REHEARSED:
        p = torch.cuda.get_device_properties(0)
        versions |= {"gpu": p.name, "processors": p.multi_processor_count, "l2": p.L2_cache_size}
    results.take("machine", "versions", lambda: {**versions, "cpus": os.cpu_count()})

    def ceilings() -> dict[str, float]:
        n = 64 if REHEARSED else 8192
        a = torch.randn(n * n * 8, device=device())
        b = torch.empty_like(a)
        m, o = (torch.randn(n, n, device=device(), dtype=torch.bfloat16) for _ in "mo")
        return {
            "copy_gbs": 8 * a.numel() / seconds(lambda: b.copy_(a)) / 1e9,
            "read_gbs": 4 * a.numel() / seconds(a.sum) / 1e9,
            "tflops": 2 * n**3 / seconds(lambda: m @ o) / 1e12,
        }

    results.take("machine", "ceilings", ceilings)


def bits(results: Results) -> None:
    """Which choices leave every bit of a product alone: only those may be made by the number of rows."""
    generator = torch.Generator().manual_seed(0)
    wide, out, rows = 1536, 576, 256
    x = torch.randn(rows, wide, generator=generator).bfloat16().cuda()
    w = (torch.randn(out, wide, generator=generator) / 39).bfloat16().cuda()

    def product(x: torch.Tensor, tile: tuple[int, int, int, int, int], warmup: bool = False) -> torch.Tensor:
        r, c, i, warps, stages = tile
        total = torch.zeros(len(x), out, device="cuda")
        _project.run(
            x, w, x, total, len(x), WIDTH=wide, OUT=out, BIAS=False, ROWS=r, COLUMNS=c, INPUTS=i,
            num_warps=warps, num_stages=stages, enable_fp_fusion=False,
            grid=(-(-len(x) // r), -(-out // c)), warmup=warmup,
        )  # fmt: skip
        return total

    usual = (64, 32, 64, 4, 3)
    with ThreadPoolExecutor() as pool, triton.AsyncCompileMode(pool):
        for tile in (usual, *OTHERS):
            product(x, tile, warmup=True)
    whole = product(x, usual)
    exact = x.double() @ w.double().T
    results.take("bits", "error", lambda: {"relative": float((whole - exact).norm() / exact.norm())})
    alone = torch.cat([product(x[i : i + 1], usual) for i in range(0, rows, 5)])
    results.take("bits", "a row alone", lambda: {"ok": torch.equal(alone, whole[::5])})
    turned = product(x.roll(7, 0), usual).roll(-7, 0)
    results.take("bits", "a row elsewhere in its tile", lambda: {"ok": torch.equal(turned, whole)})
    for tile in OTHERS:
        case = "rows {} columns {} inputs {} warps {} stages {}".format(*tile)
        results.take("bits", case, lambda tile=tile: {"same": torch.equal(product(x, tile), whole)})
