"""Sampling: the reference's tokens, the model's distribution, and the same sample whatever else is drawn."""

from __future__ import annotations

import shutil

import decode_models
import numpy as np
import polars as pl
import pytest
import reference_files
import t2fast.decode
import tokenizers
from polars.testing import assert_frame_equal
from scipy import stats
from t2fast import _core
from t2fast.kernels.rng import hash64

PROMPT = np.random.default_rng(0).integers(3, 130, 17).tolist()
OTHERS = [np.random.default_rng(i).integers(3, 130, 3 + 5 * i).tolist() for i in range(1, 6)]
SETTINGS = [
    {},
    {"temperature": 0},
    {"temperature": 0.6, "top_k": 20},
    {"temperature": 1.3, "top_p": 0.8},
    {"top_k": 50, "top_p": 0.9, "min_p": 0.02, "temperature": 1.7},
]


def bits(table: pl.DataFrame) -> pl.DataFrame:
    """The table with log-probabilities as the bits they are."""
    return table.with_columns(pl.col("logprob", "processed_logprob").reinterpret(signed=False))


def same(a: pl.DataFrame, b: pl.DataFrame) -> None:
    assert_frame_equal(bits(a), bits(b))


@pytest.mark.parametrize(
    "name", ["llama-gqa-tied", "neox-parallel", "open-lm", "qwen2-q8_0", "llama-q4_1-tied"]
)
def test_tokens_are_those_of_the_reference(model, name):
    path, _ = model(name)
    engine = t2fast.decode.load(path, dtype="float32")
    reference = reference_files.load(path)
    for settings in SETTINGS:
        table = engine.sample({"p": PROMPT}, k=2, seed=11, max_tokens=8, stop_tokens=[2, 3], **settings).table
        for row in table.iter_rows(named=True):
            expected = reference.sample(
                PROMPT, hash64(11, "p"), row["sample"], max_tokens=8, stop_tokens=[2, 3], **settings
            )
            assert row["tokens"] == [token.id for token in expected]
            assert row["logprob"] == pytest.approx(sum(t.logprob for t in expected), abs=1e-3)
            assert row["processed_logprob"] == pytest.approx(sum(t.processed for t in expected), abs=1e-3)
            assert row["finish_reason"] == ("stop_token" if row["tokens"][-1] in (2, 3) else "length")


@pytest.mark.parametrize("settings", [{}, {"temperature": 0.7, "top_k": 30, "top_p": 0.9, "min_p": 0.05}])
def test_draws_follow_the_exact_distribution(model, settings):
    path, _ = model("llama3-rope")
    engine = t2fast.decode.load(path, dtype="float32")
    n = 100_000
    table = engine.sample([PROMPT], k=n, seed=5, max_tokens=1, stop_tokens=[], **settings).table
    tokens = table["tokens"].list.first().to_numpy()
    logits = reference_files.load(path).logits(PROMPT)[-1].double().numpy() / settings.get("temperature", 1.0)
    p = np.exp(logits - logits.max())
    if settings:
        order = np.argsort(-p)
        p[order[settings["top_k"] :]] = 0
        p /= p.sum()
        mass = np.cumsum(p[order])
        p[order[1:][mass[:-1] >= settings["top_p"]]] = 0
        p[p < settings["min_p"] * p.max()] = 0
    p /= p.sum()
    drawn = np.bincount(tokens, minlength=len(p))
    assert drawn[p == 0].sum() == 0
    common = p * n >= 5
    observed = np.append(drawn[common], drawn[~common].sum())
    expected = np.append(n * p[common], n * p[~common].sum())
    kept = expected > 0
    assert stats.chisquare(observed[kept], expected[kept]).pvalue > 1e-4
    assert table["processed_logprob"].to_numpy() == pytest.approx(np.log(p[tokens]), abs=1e-4)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", ["llama-gqa-tied", "mistral-window", "qwen3-q4_0", "neox-sequential"])
def test_a_sample_depends_on_seed_problem_and_index_alone(model, name, dtype):
    path, _ = model(name)
    if dtype == "bfloat16":
        decode_models.require_bfloat16(path)
    engine = t2fast.decode.load(path, dtype=dtype, threads=1)
    options = {"seed": 3, "max_tokens": 12, "top_p": 0.95, "temperature": 1.2}
    whole = engine.sample({"a": PROMPT}, k=45, **options).table
    assert whole["tokens"].n_unique() > 30
    for k in (1, 7, 33):
        same(engine.sample({"a": PROMPT}, k=k, **options).table, whole.head(k))
    same(engine.sample({"a": PROMPT}, k=9, first_sample=30, **options).table, whole.slice(30, 9))
    for rows in (1, 2, 5, 16):
        same(engine.sample({"a": PROMPT}, k=18, max_rows=rows, **options).table, whole.head(18))
    for threads in (2, 3):
        other = t2fast.decode.load(path, dtype=dtype, threads=threads)
        same(other.sample({"a": PROMPT}, k=45, **options).table, whole)
    crowd = {"z": OTHERS[0], "a": PROMPT, "b": OTHERS[3], "c": OTHERS[4]}
    among = engine.sample(crowd, k=[4, 18, 1, 7], **options).table
    same(among.filter(pl.col("problem") == "a"), whole.head(18))
    backwards = engine.sample(dict(reversed(crowd.items())), k=[7, 1, 18, 4], **options).table
    same(backwards.sort("problem", "sample"), among.sort("problem", "sample"))


def test_float32_samples_have_the_same_bits_on_every_kernel(model):
    for name in ("llama-mha-untied-biases", "llama-q4_0", "gptneox-parallel-q8_0", "llama-bfloat16"):
        path, _ = model(name)
        expected = None
        for kernel in ("portable", "avx2", "avx512", "avx512_bf16"):
            try:
                engine = t2fast.decode.load(path, dtype="float32", kernel=kernel)
            except ValueError:
                continue
            table = engine.sample([PROMPT, OTHERS[2]], k=21, max_tokens=9, min_p=0.01).table
            expected = table if expected is None else expected
            same(table, expected)


def test_seeds_problems_and_samples_differ(model):
    engine = t2fast.decode.load(model("llama-gqa-tied")[0])
    draws = [
        tuple(tokens)
        for seed in (0, 1)
        for tokens in engine.sample(
            [PROMPT, PROMPT], k=20, seed=seed, max_tokens=20, temperature=4, stop_tokens=[]
        )
        .table["tokens"]
        .to_list()
    ]
    assert len(set(draws)) == len(draws) == 80


def test_prompts_come_in_many_forms(model):
    engine = t2fast.decode.load(model("llama-gqa-tied")[0])
    options = {"k": 2, "max_tokens": 5}
    one = engine.sample(PROMPT, **options).table
    assert one["problem"].to_list() == [0, 0]
    assert one["sample"].to_list() == [0, 1]
    assert one["text"].null_count() == 2  # tokens in, tokens out: no tokenizer is needed
    same(engine.sample([PROMPT], **options).table, one)
    same(engine.sample([(0, np.array(PROMPT))], **options).table, one)
    same(engine.sample({0: PROMPT}, **options).table, one)
    mixed = engine.sample([(7, PROMPT), ("x", OTHERS[1])], **options).table
    assert mixed["problem"].to_list() == ["7", "7", "x", "x"]
    assert engine.sample([PROMPT, OTHERS[0]], k=[1, 3], max_tokens=2).table["sample"].to_list() == [
        0,
        0,
        1,
        2,
    ]


def test_rows_beyond_the_tokenizer_are_padding(model, tmp_path):
    """Matrices are often padded to a round number of rows; a padding row that is drawn has no text."""
    path, _ = model("llama-gqa-tied")
    shutil.copytree(path, tmp_path / "model")
    alphabet = sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet())[:100]
    small = tokenizers.Tokenizer(tokenizers.models.BPE({c: i for i, c in enumerate(alphabet)}, []))
    small.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    small.decoder = tokenizers.decoders.ByteLevel()
    small.save(str(tmp_path / "model" / "tokenizer.json"))
    engine = t2fast.decode.load(tmp_path / "model")
    table = engine.sample("abc", k=30, max_tokens=20, stop="never", temperature=3, stop_tokens=[]).table
    for row in table.iter_rows(named=True):
        assert row["text"] == engine.tokenizer.decode(t for t in row["tokens"] if t < 100)
    assert table["tokens"].explode().max() >= 100


@pytest.mark.parametrize(
    ("prompts", "options", "message"),
    [
        ([], {}, "no prompt"),
        ([("a", PROMPT), ("a", PROMPT)], {}, "same problem id 'a'"),
        ([[1, 2], []], {}, "1"),
        ([PROMPT, [5, 131]], {}, "131"),
        ([PROMPT], {"k": [1, 2]}, "k has 2 values for 1 prompts"),
        ([PROMPT], {"k": -1}, "k must be at least 1, not -1"),
        ([PROMPT], {"top_k": -1}, "top_k must be at least 0, not -1"),
        ([PROMPT], {"max_tokens": 0}, "max_tokens must be at least 1, not 0"),
        ([("q", [1, -4])], {}, "'q'.*-4"),
        ([PROMPT], {"temperature": -1.0}, "temperature"),
        ([PROMPT], {"top_p": 0.0}, "top_p"),
        ([PROMPT], {"min_p": 1.5}, "min_p"),
        ([PROMPT], {"max_tokens": 100_000}, "256"),
        ([PROMPT], {"stop": [""]}, "empty"),
        ([PROMPT], {"stop_tokens": [999]}, "999"),
        ("text", {}, "tokenizer.json"),
    ],
)
def test_bad_input_is_named(model, prompts, options, message):
    engine = t2fast.decode.load(model("llama-gqa-tied")[0])
    with pytest.raises(ValueError, match=message):
        engine.sample(prompts, **options)


def test_an_unknown_kernel_or_architecture_is_named(model, tmp_path):
    path, _ = model("llama-gqa-tied")
    with pytest.raises(ValueError, match="avx1024"):
        _core.DecodeEngine(str(path), kernel="avx1024")
    (tmp_path / "config.json").write_text('{"model_type": "mamba"}')
    shutil.copy(path / "model.safetensors", tmp_path)
    with pytest.raises(ValueError, match="mamba"):
        t2fast.decode.load(tmp_path)
