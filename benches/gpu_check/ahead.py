"""Kernels compiled before the GPU is there, and those that are missing once it is.

Kernels are compiled where they would be launched, for a GPU of compute capability 9.0, with the
specialisations of the real launch; plain PyTorch computes in their stead, so that everything goes on.

    TRITON_CACHE_DIR=DIR python -m benches.gpu_check.ahead [PART ...]
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

from benches.gpu_check import bare

CAPABILITY = 90


def parts() -> list[str]:
    """What can be compiled side by side."""
    listed = bare.CARRIED / "models.json"
    cases = json.loads(listed.read_text()) if listed.exists() else []
    if bare.REHEARSED:
        return ["tiny"]
    return ["37M", "135M", "901M", *dict.fromkeys(f"models:{case['path']}" for case in cases)]


def compile_missing(results: Any) -> None:
    """What the carried cache lacks, on all cores."""

    def one(part: str) -> tuple[str, float, list[str]]:
        began = time.time()
        command = [sys.executable, "-m", "benches.gpu_check.ahead", part]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return part, round(time.time() - began, 1), (done.stdout + done.stderr).strip().splitlines()[-1:]

    with ThreadPoolExecutor(max((os.cpu_count() or 1) - 2, 1)) as pool:
        for part, took, said in pool.map(one, parts()):
            results.add("compile", part, seconds=took, said=said)


class OnPaper:
    """In place of Triton's driver where there is no GPU: says for which one to compile."""

    def get_current_target(self) -> Any:
        """An H100 or H200."""
        from triton.backends.compiler import GPUTarget

        return GPUTarget("cuda", CAPABILITY, 32)

    def get_current_device(self) -> int:
        """The first."""
        return 0

    def get_current_stream(self, device: int) -> int:
        """The usual one."""
        return 0


def compile_only() -> set[str]:
    """Let launches end where the kernel is compiled; the hashes of those kernels.

    Triton itself looks each launch up in its cache, so what is found here will be found by the real launch.
    """
    import torch
    from triton.runtime.driver import driver
    from triton.runtime.jit import JITFunction

    there = torch.cuda.is_available()
    if not there:
        driver.set_active(OnPaper())
    launch, hashes = JITFunction.run, set[str]()

    def run(self: Any, *arguments: Any, grid: Any, warmup: bool, **options: Any) -> None:
        kernel = launch(self, *arguments, grid=grid, warmup=True, **options)
        if there and kernel.hash not in hashes:
            kernel._init_handles()  # which builds the launcher, a piece of C
        hashes.add(kernel.hash)

    JITFunction.run = run
    return hashes


def operations() -> Any:
    """The operations of a step, compiled but computed in PyTorch; what is slow there is left out."""
    from t2fast.kernels import torch_ops, triton_ops

    slow = ("choose", "draw", "prefix_attention", "suffix_attention", "prompt_attention")

    def both(name: str) -> Callable[..., None]:
        def run(*arguments: Any, **options: Any) -> None:
            getattr(triton_ops, name)(*arguments, **options)
            if name not in slow:
                getattr(torch_ops, name)(*arguments, **options)

        return run

    return SimpleNamespace(
        CAPTURED=False, **{name: both(name) for name in triton_ops.__all__ if name.islower()}
    )


def main(wanted: list[str]) -> None:
    """Compile some parts, or all."""
    os.environ.pop("TRITON_INTERPRET", None)
    bare.prepare()
    import torch

    from benches.gpu_check.work import NEW, PROMPT, random_weights, sampling, shapes

    kernels, ops, cpu = compile_only(), operations(), torch.device("cpu")
    torch.set_num_threads(1)
    began = time.time()
    for part in wanted or parts():
        kind, _, name = part.rpartition(":")
        with torch.inference_mode():
            if kind == "models":
                of_models(name, ops)
                continue
            # One layer has every kernel; the compiler does not know how many there are.
            weights = random_weights(replace(shapes()[name], layers=1), where=cpu)
            for filters in of_steps():
                batch, state = sampling(weights, 64, NEW, ops=ops, prompt=PROMPT, filters=filters)
                batch._admit()
                state._run()
    print(f"{len(kernels)} kernels, {time.time() - began:.0f} s")


def of_steps() -> list[Any]:
    """Filters of the timed steps; each is its own kernel."""
    from t2fast.kernels.step import Filters

    both = Filters(top_k=50, top_p=0.95)
    return [both] if bare.REHEARSED else [Filters(), Filters(top_k=50), Filters(top_p=0.95), both]


def of_models(name: str, ops: Any) -> None:
    """What `models` launches."""
    import torch
    from t2fast.decode.gpu.engine import GpuEngine
    from t2fast.decode.request import Request, Sampling

    from benches.gpu_check.models import KEYS, SETTINGS, K

    for case in json.loads((bare.CARRIED / "models.json").read_text()):
        if case["path"] != name:
            continue
        for options in (
            {"dtype": "float32"},
            {"dtype": "bfloat16"},
            *([{"dtype": "bfloat16", "cache": "fp8"}] if case["fp8"] else []),
        ):
            core = GpuEngine(bare.CARRIED / "models" / name, device=torch.device("cpu"), ops=ops, **options)
            rules = Sampling(**{**SETTINGS, **case["extra"], "max_tokens": 3, "stop_tokens": ()})
            core.sample(Request(case["prompts"], KEYS, K, rules))
            core.score(case["prompts"][:1], [[case["prompts"][0][:9]]])


if __name__ == "__main__":
    main(sys.argv[1:])
