"""Teacher-forced logits, greedy text and likelihoods against transformers, for every family and format."""

from __future__ import annotations

import copy

import decode_models as models
import numpy as np
import pytest
import reference_files
import t2fast.decode
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from t2fast import _core

TOKENS = np.random.default_rng(0).integers(3, 130, 45).tolist()
KERNELS = ["avx512_bf16", "avx512", "avx2", "portable"]
EVERY = [*models.FOLDERS, *models.GGUFS]


def relative(found: np.ndarray, expected: np.ndarray) -> float:
    """Largest error of a position's logits, relative to its largest logit."""
    return float((np.abs(found - expected).max(-1) / np.abs(expected).max(-1)).max())


def peer_logits(peer, tokens: list[int]) -> np.ndarray:
    with torch.no_grad():
        return peer(torch.tensor([tokens])).logits[0].float().numpy()


def available(kernel: str, path) -> bool:
    try:
        _core.DecodeEngine(str(path), kernel=kernel)
    except ValueError:  # its message is tested with the other errors
        return False
    return True


@pytest.mark.parametrize("name", EVERY)
def test_logits_are_those_of_transformers(model, name):
    path, peer = model(name)
    expected = peer_logits(peer, TOKENS)
    found = t2fast.decode.load(path, dtype="float32", threads=2).core.logits(TOKENS)
    assert found.dtype == np.float32
    assert found.shape == expected.shape
    assert relative(found, expected) < 1e-4


@pytest.mark.parametrize("length", [1, 2, 31, 130])
def test_logits_for_short_and_long_inputs(model, length):
    tokens = np.random.default_rng(length).integers(3, 130, length).tolist()
    for name in ("llama-gqa-tied", "mistral-window", "neox-parallel"):
        path, peer = model(name)
        found = t2fast.decode.load(path, dtype="float32").core.logits(tokens)
        assert relative(found, peer_logits(peer, tokens)) < 1e-4


@pytest.mark.parametrize("name", EVERY)
def test_float32_has_the_same_bits_on_every_kernel(model, name):
    path, _ = model(name)
    portable = _core.DecodeEngine(str(path), dtype="float32", kernel="portable").logits(TOKENS)
    for kernel in KERNELS:
        if available(kernel, path):
            engine = _core.DecodeEngine(str(path), dtype="float32", kernel=kernel, threads=2)
            assert engine.kernel == kernel.removesuffix("_bf16")  # in float32 there is nothing for BF16 to do
            assert np.array_equal(engine.logits(TOKENS).view(np.uint32), portable.view(np.uint32)), kernel


@pytest.mark.parametrize("name", EVERY)
def test_bfloat16_is_no_further_from_float32_than_transformers(model, name):
    path, peer = model(name)
    models.require_bfloat16(path)
    exact = peer_logits(peer, TOKENS)
    theirs = peer_logits(copy.deepcopy(peer).to(torch.bfloat16), TOKENS)
    ours = t2fast.decode.load(path, dtype="bfloat16").core.logits(TOKENS)
    assert np.sqrt(np.mean((ours - exact) ** 2)) <= np.sqrt(np.mean((theirs - exact) ** 2))


def open_lm_logits(path, tokens: list[int]) -> torch.Tensor:
    """OpenLM's forward pass, written down once more with torch's own attention and complex rotations."""
    w = load_file(path / "model.safetensors")
    dim = w["norm.weight"].numel()
    heads, d = 6, dim // 6

    def norm(name: str, x: torch.Tensor) -> torch.Tensor:
        return F.layer_norm(x, (dim,), w[name])

    angle = torch.outer(torch.arange(len(tokens)), 10000.0 ** (-torch.arange(0, d, 2) / d))
    turn = torch.polar(torch.ones_like(angle), angle)

    def rotate(x: torch.Tensor) -> torch.Tensor:
        x = x.view(len(tokens), heads, d).transpose(0, 1)
        turned = torch.complex(x[..., : d // 2], x[..., d // 2 :]) * turn
        return torch.cat([turned.real, turned.imag], -1)

    x = w["tok_embeddings.weight"][tokens]
    for i in range(2):
        at = f"layers.{i}"
        q, k, v = (norm(f"{at}.attention_norm.weight", x) @ w[f"{at}.attention.in_proj.weight"].T).chunk(
            3, -1
        )
        q, k = norm(f"{at}.attention.q_norm.weight", q), norm(f"{at}.attention.k_norm.weight", k)
        v = v.view(len(tokens), heads, d).transpose(0, 1)
        mixed = F.scaled_dot_product_attention(rotate(q), rotate(k), v, is_causal=True)
        x = x + mixed.transpose(0, 1).flatten(1) @ w[f"{at}.attention.out_proj.weight"].T
        gate, up = (norm(f"{at}.ffn_norm.weight", x) @ w[f"{at}.feed_forward.w12.weight"].T).chunk(2, -1)
        x = x + (F.silu(gate) * up) @ w[f"{at}.feed_forward.w3.weight"].T
    return norm("norm.weight", x) @ w["output.weight"].T


def test_open_lm_with_its_padding_masked(model):
    path, _ = model("open-lm")
    expected = open_lm_logits(path, TOKENS)[:, : models.OPEN_LM_VOCAB].numpy()
    assert relative(reference_files.load(path).logits(TOKENS).numpy(), expected) < 1e-5
    engine = t2fast.decode.load(path, dtype="float32")
    assert engine.core.model.vocab == models.OPEN_LM_VOCAB
    found = engine.core.logits(TOKENS)
    assert found.shape == expected.shape
    assert relative(found, expected) < 1e-4


@pytest.mark.parametrize("name", ["llama-gqa-tied", "qwen3", "neox-parallel", "llama-q4_1-tied"])
def test_sizes_are_those_of_the_model(model, name):
    path, peer = model(name)
    core = t2fast.decode.load(path).core.model
    config = peer.config
    assert core.n_params == peer.num_parameters()
    assert (core.vocab, core.width, core.layers) == (
        config.vocab_size,
        config.hidden_size,
        config.num_hidden_layers,
    )
    assert core.heads == config.num_attention_heads
    assert core.max_positions == config.max_position_embeddings


@pytest.fixture(scope="module")
def real(smollm2):
    """SmolLM2, ours in float32 and transformers' in float32."""
    return t2fast.decode.load(smollm2, dtype="float32", threads=2), models.transformers_model(smollm2)


PROMPTS = ["The capital of France is", "def fibonacci(n):", "Question: What is 17 + 25?\nAnswer:"]


def test_smollm2_logits_and_greedy_tokens(real):
    engine, peer = real
    drawn = engine.sample(PROMPTS, k=1, temperature=0, max_tokens=64, stop_tokens=[]).table
    for prompt, answer in zip(PROMPTS, drawn["tokens"].to_list(), strict=True):
        tokens = engine.tokenizer.encode(prompt)
        expected = peer_logits(peer, [*tokens, *answer])
        assert relative(engine.core.logits([*tokens, *answer]), expected) < 1e-4
        # Each token is the peer's most probable one after those before it: what greedy generation draws.
        assert answer == expected[len(tokens) - 1 : -1].argmax(-1).tolist()


def test_smollm2_greedy_text_is_that_of_transformers(real):
    engine, peer = real
    prompt = torch.tensor([engine.tokenizer.encode(PROMPTS[0])])
    with torch.no_grad():
        text = peer.generate(prompt, max_new_tokens=64, do_sample=False, eos_token_id=None, pad_token_id=2)[0]
    drawn = engine.sample(PROMPTS[0], k=1, temperature=0, max_tokens=64, stop_tokens=[]).table
    assert drawn["text"][0] == engine.tokenizer.decode(text[prompt.shape[1] :].tolist())


def test_smollm2_has_the_same_bits_on_every_kernel(real, smollm2):
    tokens = real[0].tokenizer.encode(PROMPTS[0])
    portable = _core.DecodeEngine(str(smollm2), dtype="float32", kernel="portable").logits(tokens)
    for kernel in KERNELS:
        if available(kernel, smollm2):
            found = _core.DecodeEngine(str(smollm2), dtype="float32", kernel=kernel).logits(tokens)
            assert np.array_equal(found.view(np.uint32), portable.view(np.uint32)), kernel


def test_smollm2_in_bfloat16_is_no_further_from_float32_than_transformers(real, smollm2):
    models.require_bfloat16(smollm2)
    exact_engine, peer = real
    tokens = exact_engine.tokenizer.encode(PROMPTS[2] + " 42. " + PROMPTS[1])
    exact = peer_logits(peer, tokens)
    theirs = peer_logits(models.transformers_model(smollm2, torch.bfloat16), tokens)
    ours = t2fast.decode.load(smollm2, dtype="bfloat16").core.logits(tokens)
    assert np.sqrt(np.mean((ours - exact) ** 2)) <= np.sqrt(np.mean((theirs - exact) ** 2))


def test_likelihoods_are_those_of_transformers(real):
    engine, peer = real
    answers = [
        [" Paris", " the city of Paris.", " Lyon"],
        ["\n    return n", "\n\tif n < 2:"],
        [" 42", " 42."],
    ]
    scored = engine.score(PROMPTS, answers)
    assert scored["problem"].to_list() == [0, 0, 0, 1, 1, 2, 2]
    assert scored["answer"].to_list() == [0, 1, 2, 0, 1, 0, 1]
    rows = iter(scored.iter_rows(named=True))
    for prompt, own in zip(PROMPTS, answers, strict=True):
        for answer in own:
            head, whole = engine.tokenizer.encode(prompt), engine.tokenizer.encode(prompt + answer)
            logp = torch.from_numpy(peer_logits(peer, whole)).double().log_softmax(-1)
            expected = [float(logp[i - 1, whole[i]]) for i in range(len(head), len(whole))]
            row = next(rows)
            assert row["n_tokens"] == len(expected)
            assert row["logprobs"] == pytest.approx(expected, abs=2e-3)
            assert row["logprob"] == pytest.approx(sum(expected), abs=4e-3)
            assert row["probability"] == pytest.approx(np.exp(row["logprob"]))


def test_a_likelihood_does_not_depend_on_its_neighbours(model):
    path, peer = model("qwen3")
    engine = t2fast.decode.load(path)
    prompts, answers = [TOKENS[:9], TOKENS[5:30]], [[TOKENS[30:33], TOKENS[:1]], [TOKENS[2:12]]]
    together = engine.score(prompts, answers)["logprobs"].to_list()
    alone = [
        engine.score([prompt], [[answer]])["logprobs"][0].to_list()
        for prompt, own in zip(prompts, answers, strict=True)
        for answer in own
    ]
    assert together == alone
    exact = t2fast.decode.load(path, dtype="float32").score(prompts, answers)["logprobs"].to_list()
    logp = torch.from_numpy(peer_logits(peer, [*prompts[1], *answers[1][0]])).double().log_softmax(-1)
    expected = [float(logp[24 + i, token]) for i, token in enumerate(answers[1][0])]
    assert exact[2] == pytest.approx(expected, abs=1e-3)
