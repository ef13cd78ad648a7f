"""Kernels compiled before the GPU is there, and those that are missing once it is.

Steps are taken with launches that end where the kernel is compiled, with the specialisations of the real
launch: Triton itself looks it up in its cache, so what is found here will be found there. Where there is no
GPU, for one of compute capability 9.0.

    TRITON_CACHE_DIR=DIR python -m benches.gpu_check.ahead
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

from benches.gpu_check import bare

CAPABILITY = 90
COMPUTED = ("advance", "compact")
"""Operations that are also computed, in PyTorch, so that samples come to an end."""


def parts() -> list[str]:
    """What is timed, tuned and set beside peers, and each small model."""
    if bare.REHEARSED:
        return ["steps:tiny"]
    listed = bare.CARRIED / "models.json"
    cases = json.loads(listed.read_text()) if listed.exists() else []
    timed = [
        "steps:37M",
        "steps:135M",
        "steps:901M",
        "tune:135M",
        "tune:901M",
        "peers:SmolLM2-135M",
        "safety:",
    ]
    return [*timed, *dict.fromkeys(f"models:{case['path']}" for case in cases)]


def compile_missing(results: Any) -> None:
    """What the carried cache lacks."""
    for part in parts():
        results.take("compile", part, lambda part=part: compiled([part]))


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


def compiled(wanted: Sequence[str]) -> dict[str, Any]:
    """Compile what these parts launch, on all cores; how many kernels, and how long it took."""
    import torch
    import triton
    from triton.runtime.driver import driver
    from triton.runtime.jit import JITFunction

    there, began = torch.cuda.is_available(), time.time()
    if not there:
        driver.set_active(OnPaper())
    launch, found = JITFunction.run, list[Any]()

    def run(self: Any, *arguments: Any, grid: Any, warmup: bool, **options: Any) -> None:
        found.append(launch(self, *arguments, grid=grid, warmup=True, **options))

    JITFunction.run = run
    try:
        with torch.inference_mode(), ThreadPoolExecutor() as pool, triton.AsyncCompileMode(pool):
            for part in wanted:
                kind, _, name = part.partition(":")
                KINDS[kind](name)
    finally:
        JITFunction.run = launch
    ready = (kernel.result() if hasattr(kernel, "result") else kernel for kernel in found)
    kernels = {kernel.hash: kernel for kernel in ready}
    if there:  # a launcher is a piece of C, and its compiler takes its time
        with ThreadPoolExecutor() as pool:
            list(
                pool.map(
                    lambda kernel: driver.active.launcher_cls(kernel.src, kernel.metadata), kernels.values()
                )
            )
    return {"kernels": len(kernels), "seconds": round(time.time() - began, 1)}


def operations() -> Any:
    """The operations of a step."""
    from t2fast.kernels import torch_ops, triton_ops

    def one(name: str) -> Callable[..., None]:
        def run(*arguments: Any, **options: Any) -> None:
            getattr(triton_ops, name)(*arguments, **options)
            if name in COMPUTED:
                getattr(torch_ops, name)(*arguments, **options)

        return run

    names = [name for name in triton_ops.__all__ if name.islower()]
    return SimpleNamespace(CAPTURED=False, **{name: one(name) for name in names})


def of_steps(name: str) -> None:
    """A timed model's steps with each kind of filter; one layer has every kernel."""
    import torch

    from benches.gpu_check.steps import FILTERS
    from benches.gpu_check.work import random_weights, sampling, shapes

    weights = random_weights(replace(shapes()[name], layers=1), where=torch.device("cpu"))
    for filters in list(FILTERS.values())[-1 if bare.REHEARSED else 0 :]:
        batch, state = sampling(weights, 64, ops=operations(), filters=filters)
        batch._admit()
        state._run()


def of_safety(_name: str) -> None:
    """The small shapes of captures and of compute-sanitizer."""
    import torch

    from benches.gpu_check.safety import FILTERS, SHAPES
    from benches.gpu_check.work import random_weights, sampling

    for s in SHAPES:
        weights = random_weights(s, where=torch.device("cpu"))
        for filters in FILTERS:
            sampling(weights, 19, 5, prompt=20, ops=operations(), filters=filters)[0].run()


def of_tuning(name: str) -> None:
    """A step with each of the choices that `tune` tries."""
    import torch
    from t2fast.kernels.step import Filters, Space, step

    from benches.gpu_check.tune import KERNELS, changed, choices
    from benches.gpu_check.work import random_weights, sampling, shapes

    weights, ops = random_weights(replace(shapes()[name], layers=1), where=torch.device("cpu")), operations()
    batch, state = sampling(weights, 64, ops=ops, prompt=20)
    batch._admit()
    for operation in KERNELS:
        for tiles, options in choices(weights.shape, operation):
            space = Space(weights, tiles, 64, state.splits, Filters())
            step(weights, state.state, space, state.tiles, Filters(), changed(ops, operation, tiles, options))


def of_peers(_name: str) -> None:
    """Gate and timings beside transformers."""
    from benches.gpu_check.peers import compiled_for

    compiled_for(operations())


def of_model(name: str) -> None:
    """What `models` launches for one of its folders."""
    import torch
    from t2fast.decode.gpu.engine import GpuEngine
    from t2fast.decode.request import Request, Sampling

    from benches.gpu_check.models import KEYS, SETTINGS, K

    for case in json.loads((bare.CARRIED / "models.json").read_text()):
        if case["path"] != name:
            continue
        kinds = [{"dtype": "float32"}, {"dtype": "bfloat16"}]
        for options in [*kinds, {"dtype": "bfloat16", "cache": "fp8"}][: 3 if case["fp8"] else 2]:
            core = GpuEngine(
                bare.CARRIED / "models" / name, device=torch.device("cpu"), ops=operations(), **options
            )
            rules = Sampling(**{**SETTINGS, **case["extra"], "max_tokens": 3, "stop_tokens": ()})
            core.sample(Request(case["prompts"], KEYS, K, rules))
            core.score(case["prompts"][:1], [[case["prompts"][0][:9]]])


KINDS: dict[str, Callable[[str], None]] = {
    "steps": of_steps, "tune": of_tuning, "safety": of_safety, "peers": of_peers, "models": of_model,
}  # fmt: skip


if __name__ == "__main__":
    os.environ.pop("TRITON_INTERPRET", None)
    bare.prepare()
    done = compiled(parts())
    print(f"{done['kernels']} kernels, {done['seconds']:.0f} s")
