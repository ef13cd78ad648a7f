"""Steps of three models beside their roofline: as a graph, launch by launch, and kernel by kernel."""

from __future__ import annotations

import hashlib
import time
from typing import Any

import torch
from t2fast.decode.gpu import prefill
from t2fast.decode.gpu.batch import Batch
from t2fast.kernels.model import Tiles, Weights
from t2fast.kernels.step import Filters, choose

from benches._roofline import GPUS, Gpu, roofline, step_costs
from benches.gpu_check.bare import REHEARSED
from benches.gpu_check.results import Results, seconds, sync
from benches.gpu_check.work import KS, NEW, OPS, PROMPT, random_weights, sampling, shapes, sizes_of

KERNELS = {
    "_embed": "embed", "_norm": "norm", "_qkv": "qkv", "_norm_of_all_heads": "row norm",
    "_prefix_attention": "prefix", "_suffix_attention": "suffix", "_hidden": "hidden",
    "_draw_tile": "head", "_draw_row": "head row", "_advance": "advance",
}  # fmt: skip
FILTERS = {
    "plain": Filters(), "top_k": Filters(top_k=50), "top_p": Filters(top_p=0.95),
    "both": Filters(top_k=50, top_p=0.95),
}  # fmt: skip


@torch.inference_mode()
def bench(results: Results) -> None:
    """Every model and k, then filters and prompts."""
    name = "" if REHEARSED else torch.cuda.get_device_name()
    gpu = next((gpu for gpu in GPUS if gpu.device == name), GPUS[0])
    for model, s in shapes().items():
        of_model(results, model, random_weights(s), gpu)


def of_model(results: Results, model: str, weights: Weights, gpu: Gpu) -> None:
    """Everything about one model; every k must draw the same bits, those of an earlier run included."""
    cases = {f"{model} k={k}" for k in KS}
    bits = {line["bits"] for (_, case), line in results.had.items() if case in cases and "bits" in line}
    for k in KS:
        results.take("bench", f"{model} k={k}", lambda k=k: row(weights, model, k, gpu, bits))
    for k in KS:
        results.take("extras", f"{model} filters k={k}", lambda k=k: choosing(weights, k))
    for n in (9,) if REHEARSED else (17, 512, 1900):
        results.take("extras", f"{model} prompt of {n}", lambda n=n: reading(weights, n))


def row(weights: Weights, model: str, k: int, gpu: Gpu, bits: set[str]) -> dict[str, Any]:
    """One line: whole calls, then a step in the middle of a sample."""
    own, tiles = 3 * NEW // 4, Tiles.of(weights.shape, weights.embedding.dtype)
    costs = step_costs(sizes_of(model, weights.shape), k, PROMPT, own, tiles)
    least, limits = max(roofline(costs, gpu)), {cost.kernel: cost.seconds(gpu) * 1e6 for cost in costs}
    walls, (batch, state) = [], sampling(weights, k)
    for _ in range(4):  # the first compiles and captures; the others find that done, as an engine's calls do
        sync()
        began = time.perf_counter()
        out: Any = batch.run()
        sync()
        walls.append(time.perf_counter() - began)
        state.begin(1.0, NEW, [])
        batch = Batch(batch.job, state, batch.poll)
    del batch, state  # the next one asks how much memory is free
    drawn = b"".join(out[key][:NEW].tobytes() for key in ("tokens", "logprobs", "processed_logprobs"))
    digest = hashlib.sha256(drawn).hexdigest()[:16]
    bits.add(digest)
    times, profile = step_times(weights, k, own)
    busy, wall = sum(us for _, us in profile.values()), sorted(walls[1:])[1]
    kernels = {name: [n, round(us, 1), round(limits.get(name, 0.0), 1)] for name, (n, us) in profile.items()}
    # In the rehearsal torch multiplies, whose sums depend on the number of rows.
    ok = REHEARSED or len(bits) == 1
    line = {
        "roofline_us": least * 1e6, "of_roofline": least * 1e6 / times["graph_us"],
        "of_roofline_whole": least * NEW / wall, "tokens_per_second": k * NEW / wall, "cold_s": walls[0],
        "busy_us": busy, "gaps_us": times["graph_us"] - busy, **times,
    }  # fmt: skip
    rounded = {name: float(f"{value:.4g}") for name, value in line.items()}
    return {"ok": ok, "gpu": gpu.name, **rounded, "bits": digest, "kernels": kernels}


def step_times(weights: Weights, k: int, own: int) -> tuple[dict[str, float], dict[str, tuple[int, float]]]:
    """One step at `own` tokens, with graphs and without; its kernels' calls and µs by the profiler."""
    batch, state = sampling(weights, k, NEW + 64)
    batch._admit()
    if len(state.state.rows) != k:
        raise ValueError(f"memory holds {len(state.state.rows)} of {k} rows")
    state._step()
    capture = seconds(state._step, 1, 1)
    for _ in range(max(own - 18, 0)):  # thirty steps follow, in the mean at `own` tokens
        state._step()
    graph = seconds(state._step)
    eager = seconds(state._run, 3, 1)
    found: dict[str, list[float]] = {}
    rounds, projections = 3, 0
    for name, us in [] if REHEARSED else profiled(state._step, rounds):
        kernel = KERNELS.get(name, name[:30])
        if name == "_project":
            kernel, projections = "down" if projections % 2 else "o", projections + 1
        found.setdefault(kernel, []).append(us)
    profile = {name: (len(times) // rounds, sum(times) / rounds) for name, times in found.items()}
    return {"graph_us": graph * 1e6, "eager_us": eager * 1e6, "capture_s": capture}, profile


def profiled(call: Any, rounds: int) -> list[tuple[str, float]]:
    """Kernels in order of their start, and the microseconds of each."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as found:
        for _ in range(rounds):
            call()
        sync()
    events = [e for e in found.events() if e.device_type == torch.autograd.DeviceType.CUDA]
    spans = [(e.name, e.time_range) for e in sorted(events, key=lambda e: e.time_range.start)]
    return [(name, span.end - span.start) for name, span in spans]


def choosing(weights: Weights, k: int) -> dict[str, float]:
    """Microseconds of drawing a token for k rows, by filter."""
    times = {}
    for name, filters in FILTERS.items():
        batch, state = sampling(weights, k, 64, prompt=20, filters=filters)
        batch._admit()
        space = state._spaces[len(state.state.rows)]
        space.x.normal_()
        arguments = weights, state.state, space, state.tiles, filters, OPS
        choose(*arguments)
        times[name + "_us"] = seconds(lambda a=arguments: choose(*a), 3) * 1e6
    return times


def reading(weights: Weights, n: int) -> dict[str, float]:
    """Milliseconds that a prompt of n tokens takes, and eight of them together."""
    pools, tiles = prefill.room(weights, 8 * n), Tiles.of(weights.shape, weights.embedding.dtype)
    texts = [prefill.Text([i % 100 + 3 for i in range(n)], at * n) for at in range(8)]

    def call(count: int) -> None:
        prefill.last(weights, texts[:count], pools, tiles, OPS)

    call(8)
    return {"ms": seconds(lambda: call(1), 3) * 1e3, "eight_ms": seconds(lambda: call(8), 3) * 1e3}
