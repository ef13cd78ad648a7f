"""What a step costs in every type of weights: by the byte of the file, and beside Q4_1.

    python benches/decode_types.py            # k = 1 and 64, some minutes
    python benches/decode_types.py --threads 1 --k 1 --cpu

One random model of 69 million parameters a type, its blocks random bytes with sane scales: speed does not
depend on values. Types take turns; a step is the best of the rounds, without the prompt. The last columns
are the time a byte of the file, and a weight, over those of Q4_1. --cpu counts the processor's time in
place of the clock's, for machines that are at work.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path

import gguf
import numpy as np
import t2fast.decode

LAYERS, WIDTH, HIDDEN, HEADS, KV_HEADS, VOCAB = 10, 768, 2304, 12, 4, 1024
HALVES = {
    "Q4_0": 1,
    "Q4_1": 2,
    "Q5_0": 1,
    "Q5_1": 2,
    "Q8_0": 1,
    "Q4_K": 2,
    "Q5_K": 2,
    "IQ4_NL": 1,
    "IQ4_XS": 1,
}
"""How many half-precision numbers a block begins with."""
LAST = {"Q2_K": 2, "Q3_K": 1, "Q6_K": 1}
"""How many it ends with."""
TYPES = ["BF16", "MXFP4", *HALVES, *LAST]


def main() -> None:
    """Time all types by turns."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--types", nargs="+", default=TYPES, help="Q4_1 is always among them")
    parser.add_argument("--k", type=int, nargs="+", default=[1, 64])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=16)
    parser.add_argument("--threads", type=int, default=None)
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--cpu", action="store_true", help="the processor's time, not the clock's")
    args = parser.parse_args()
    clock = time.process_time if args.cpu else time.perf_counter
    engines, sizes = {}, {}
    with tempfile.TemporaryDirectory() as folder:
        for kind in dict.fromkeys(["Q4_1", *args.types]):
            path = write(kind, Path(folder) / f"{kind}.gguf")
            sizes[kind] = path.stat().st_size
            engines[kind] = t2fast.decode.load(path, threads=args.threads, dtype=args.dtype)
            path.unlink()  # what is packed is no longer read
    print(f"{next(iter(engines.values()))}, load {os.getloadavg()[0]:.1f}")
    print("| k | type | file, MB | in memory | step, ms | x a byte of the file | x a weight |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for k in args.k:
        best = dict.fromkeys(engines, np.inf)
        for _ in range(args.rounds):
            for kind, engine in engines.items():
                best[kind] = min(best[kind], step(engine, k, args.steps, clock))
        for kind, seconds in best.items():
            memory = engines[kind].core.weight_bytes / sizes[kind]
            weight = seconds / best["Q4_1"]
            byte = weight * sizes["Q4_1"] / sizes[kind]
            print(
                f"| {k} | {kind} | {sizes[kind] / 1e6:.1f} | x {memory:.2f} | {1e3 * seconds:.2f} "
                f"| {byte:.2f} | {weight:.2f} |",
                flush=True,
            )


def step(engine: t2fast.decode.Engine, k: int, steps: int, clock: object) -> float:
    """Seconds of one step of k samples."""
    times = []
    for tokens in (1 + steps, 1):
        start = clock()  # type: ignore[operator]
        engine.sample([[5, 6, 7]], k=k, max_tokens=tokens, stop_tokens=[], progress=False)
        times.append(clock() - start)  # type: ignore[operator]
    return (times[0] - times[1]) / steps


def write(kind: str, path: Path) -> Path:
    """A llama of that type; every layer has the same values."""
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(LAYERS)
    writer.add_context_length(1024)
    writer.add_embedding_length(WIDTH)
    writer.add_feed_forward_length(HIDDEN)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(VOCAB)
    random = np.random.default_rng(0)
    keys = KV_HEADS * WIDTH // HEADS
    matrices = {
        "attn_q": (WIDTH, WIDTH),
        "attn_k": (keys, WIDTH),
        "attn_v": (keys, WIDTH),
        "attn_output": (WIDTH, WIDTH),
        "ffn_gate": (HIDDEN, WIDTH),
        "ffn_up": (HIDDEN, WIDTH),
        "ffn_down": (WIDTH, HIDDEN),
    }
    made = {name: blocks(kind, *shape, random) for name, shape in matrices.items()}
    dtype = gguf.GGMLQuantizationType[kind]
    ones = np.ones(WIDTH, np.float32)
    writer.add_tensor("token_embd.weight", blocks(kind, VOCAB, WIDTH, random), raw_dtype=dtype)
    writer.add_tensor("output_norm.weight", ones)
    for layer in range(LAYERS):
        for name, data in made.items():
            writer.add_tensor(f"blk.{layer}.{name}.weight", data, raw_dtype=dtype)
        for name in ("attn_norm", "ffn_norm"):
            writer.add_tensor(f"blk.{layer}.{name}.weight", ones)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def blocks(kind: str, rows: int, columns: int, random: np.random.Generator) -> np.ndarray:
    """Rows of random blocks, their half-precision numbers small."""
    elements, size = gguf.GGML_QUANT_SIZES[gguf.GGMLQuantizationType[kind]]
    if kind == "BF16":
        return gguf.quants.quantize(
            random.normal(size=(rows, columns)).astype(np.float32) * 0.03, gguf.GGMLQuantizationType.BF16
        )
    count = rows * columns // elements
    found = random.integers(0, 256, (count, size), dtype=np.uint8)
    first, last = HALVES.get(kind, 0), LAST.get(kind, 0)
    for at in (*range(0, 2 * first, 2), *range(size - 2 * last, size, 2)):
        found[:, at : at + 2] = (
            (random.normal(size=count) * 1e-3).astype(np.float16).view(np.uint8).reshape(count, 2)
        )
    if kind == "MXFP4":
        found[:, 0] = 118
    return found.reshape(rows, -1)


if __name__ == "__main__":
    main()
