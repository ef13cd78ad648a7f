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
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

from benches.gpu_check import bare

CAPABILITY = 90
SLOW = ("choose", "draw", "prefix_attention", "suffix_attention", "prompt_attention")
"""Operations that need not be computed for others to go on, and take long in plain PyTorch."""


def parts() -> list[str]:
    """What can be compiled side by side: the timed models, and each small one."""
    if bare.REHEARSED:
        return ["tiny"]
    listed = bare.CARRIED / "models.json"
    cases = json.loads(listed.read_text()) if listed.exists() else []
    return ["37M", "135M", "901M", *dict.fromkeys(f"models:{case['path']}" for case in cases)]


def compile_missing(results: Any, wanted: Sequence[str] = ()) -> None:
    """What the carried cache lacks, on all cores."""

    def one(part: str) -> tuple[str, float, Any]:
        began = time.time()
        command = [sys.executable, "-m", "benches.gpu_check.ahead", part]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return part, round(time.time() - began, 1), done

    with ThreadPoolExecutor(max((os.cpu_count() or 1) - 2, 1)) as pool:
        for part, took, done in pool.map(one, wanted or parts()):
            said = (done.stdout + done.stderr).strip().splitlines()[-1:]
            results.add("compile", part, ok=done.returncode == 0, seconds=took, said=said)


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


def operations(compiled: Sequence[str] | None = None) -> Any:
    """All operations of a step, compiled and computed in PyTorch, or some of them, compiled alone."""
    from t2fast.kernels import torch_ops, triton_ops

    def both(name: str) -> Callable[..., None]:
        def run(*arguments: Any, **options: Any) -> None:
            if compiled is None or name in compiled:
                getattr(triton_ops, name)(*arguments, **options)
            if compiled is None and name not in SLOW:
                getattr(torch_ops, name)(*arguments, **options)

        return run

    names = [name for name in triton_ops.__all__ if name.islower()]
    return SimpleNamespace(CAPTURED=False, **{name: both(name) for name in names})


def of_steps(name: str) -> None:
    """Timed steps, with each kind of filter; one layer has every kernel."""
    import torch
    from t2fast.kernels.step import Filters

    from benches.gpu_check.work import NEW, PROMPT, random_weights, sampling, shapes

    weights = random_weights(replace(shapes()[name], layers=1), where=torch.device("cpu"))
    every = [Filters(top_k=50, top_p=0.95), Filters(), Filters(top_k=50), Filters(top_p=0.95)]
    for filters in every[: 1 if bare.REHEARSED else None]:
        batch, state = sampling(weights, 64, NEW, ops=operations(), prompt=PROMPT, filters=filters)
        batch._admit()
        state._run()


def of_tuning(operation: str, part: int) -> None:
    """A share of what `tune` tries for one operation."""
    import torch
    from t2fast.kernels.step import Filters, Space, step

    from benches.gpu_check import tune
    from benches.gpu_check.work import random_weights, sampling, shapes

    s = shapes()["135M"]
    weights, ops = random_weights(replace(s, layers=1), where=torch.device("cpu")), operations([operation])
    batch, state = sampling(weights, 64, 8, ops=ops, prompt=20)
    batch._admit()
    for tiles, options in tune.choices(s, operation)[part :: tune.SHARES]:
        space = Space(weights, tiles, 64, state.splits, Filters())
        other = tune.changed(ops, operation, tiles, options)
        try:
            step(weights, state.state, space, state.tiles, Filters(), other)
        except Exception as error:  # `tune` tries it again and leaves it out
            print(operation, tiles, options, repr(error)[:120])


def of_models(name: str) -> None:
    """What `models` launches."""
    import torch
    from t2fast.decode.gpu.engine import GpuEngine
    from t2fast.decode.request import Request, Sampling

    from benches.gpu_check.models import KEYS, SETTINGS, K

    for case in json.loads((bare.CARRIED / "models.json").read_text()):
        if case["path"] != name:
            continue
        kinds = [{"dtype": "float32"}, {"dtype": "bfloat16"}]
        kinds += [{"dtype": "bfloat16", "cache": "fp8"}] if case["fp8"] else []
        for options in kinds:
            core = GpuEngine(
                bare.CARRIED / "models" / name, device=torch.device("cpu"), ops=operations(), **options
            )
            rules = Sampling(**{**SETTINGS, **case["extra"], "max_tokens": 3, "stop_tokens": ()})
            core.sample(Request(case["prompts"], KEYS, K, rules))
            core.score(case["prompts"][:1], [[case["prompts"][0][:9]]])


def main(wanted: list[str]) -> None:
    """Compile some parts, or all."""
    os.environ.pop("TRITON_INTERPRET", None)
    bare.prepare()
    import torch

    kernels, began = compile_only(), time.time()
    torch.set_num_threads(1)
    with torch.inference_mode():
        for part in wanted or parts():
            match part.split(":"):
                case ["models", name]:
                    of_models(name)
                case ["tune", operation, share]:
                    of_tuning(operation, int(share))
                case _:
                    of_steps(part)
    print(f"{len(kernels)} kernels, {time.time() - began:.0f} s")


if __name__ == "__main__":
    main(sys.argv[1:])
