"""The GPU engine on CPU tensors: by plain PyTorch, and by the kernels themselves in Triton's interpreter."""

from __future__ import annotations

import copy
import signal

import decode_models
import hypothesis
import numpy as np
import pytest
import reference_files
from decode_models import ask
from hypothesis import given
from hypothesis import strategies as st
from t2fast._core import DecodeEngine
from t2fast.kernels.rng import hash64

torch = pytest.importorskip("torch", reason="needs torch")
pytest.importorskip("triton", reason="needs triton, which comes with torch's builds for GPUs")

from gpu_engines import OTHERS, PROMPT, core, engine, same  # noqa: E402
from t2fast.decode.gpu import prefill  # noqa: E402
from t2fast.decode.gpu import state as gpu_state  # noqa: E402
from t2fast.decode.gpu.batch import Pool  # noqa: E402
from t2fast.decode.gpu.engine import GpuEngine  # noqa: E402
from t2fast.kernels import torch_ops, triton_ops  # noqa: E402
from t2fast.kernels.step import Filters, Space  # noqa: E402

FILTERED = {"temperature": 1.7, "top_k": 50, "top_p": 0.9, "min_p": 0.02}
FAMILIES = [*decode_models.FOLDERS, "open-lm", "llama-q4_0", "qwen2-q8_0", "gptneox-parallel-q8_0"]


def check_against_reference(path, table, prompts, seed, **settings) -> None:
    reference = reference_files.load(path)
    for row in table.iter_rows(named=True):
        key = hash64(seed, row["problem"])
        expected = reference.sample(prompts[row["problem"]], key, row["sample"], **settings)
        assert row["tokens"] == [token.id for token in expected]
        assert row["logprob"] == pytest.approx(sum(t.logprob for t in expected), abs=1e-3)
        assert row["processed_logprob"] == pytest.approx(sum(t.processed for t in expected), abs=1e-3)
        stopped = row["tokens"][-1] in settings["stop_tokens"]
        assert row["finish_reason"] == ("stop_token" if stopped else "length")


@pytest.mark.parametrize("name", FAMILIES)
def test_tokens_are_those_of_the_reference(model, name):
    path, _ = model(name)
    ours, prompts = engine(path), {"a": PROMPT, "b": OTHERS[0]}
    for settings in ({}, FILTERED):
        options = {"max_tokens": 8, "stop_tokens": [2, 3], **settings}
        table = ours.sample(prompts, k=[1, 2], seed=11, **options).table
        check_against_reference(path, table, prompts, 11, **options)


@pytest.mark.parametrize("name", ["llama-gqa-tied", "mistral-window", "qwen3", "neox-parallel", "open-lm"])
def test_the_kernels_draw_the_tokens_of_the_reference(model, name, monkeypatch):
    monkeypatch.setattr(gpu_state, "BUCKETS", (2, 4))
    path, _ = model(name)
    prompts, options = {"a": OTHERS[0], "b": PROMPT[:3]}, {"max_tokens": 3, "stop_tokens": [2, 3]}
    table = engine(path, ops=triton_ops).sample(prompts, k=[1, 2], seed=5, **options).table
    check_against_reference(path, table, prompts, 5, **options)


def test_with_the_kernels_a_sample_does_not_depend_on_its_company(model, monkeypatch):
    """To the bit, where the interpreter lets it: its products, numpy's, depend on a row's place in a tile."""
    monkeypatch.setattr(gpu_state, "BUCKETS", (1, 2, 4, 8))
    path, _ = model("llama-gqa-tied")
    options = {"max_tokens": 3, "stop_tokens": []}
    whole = ask(core(path, ops=triton_ops), [PROMPT, OTHERS[0]], [9, 7], [3, 1], **options)
    alone = ask(core(path, ops=triton_ops, poll=1), [PROMPT], [9], [2], max_rows=1, **options)
    np.testing.assert_array_equal(whole["tokens"][:6], alone["tokens"])
    for key in ("logprobs", "processed_logprobs"):
        np.testing.assert_array_equal(whole[key][:3].view(np.uint32), alone[key][:3].view(np.uint32))
        assert whole[key][:6] == pytest.approx(alone[key], rel=1e-5)


@pytest.mark.parametrize("name", ["llama-gqa-tied", "neox-sequential"])
def test_samples_do_not_depend_on_batch_order_or_polling(model, name):
    path, _ = model(name)
    prompts, keys, k = [PROMPT, *OTHERS], [5, 2**64 - 1, 6, 1], [18, 4, 1, 7]
    options = {"max_tokens": 11, "stop_tokens": list(range(0, 130, 12)), "temperature": 1.2}
    expected = ask(DecodeEngine(path, dtype="float32"), prompts, keys, k, **options)
    assert len({*expected["finish_reason"]}) == 2
    for rows, poll in ((None, 8), (1, 3), (2, 1), (5, 2), (16, 5), (7, 100)):
        same(ask(core(path, poll=poll), prompts, keys, k, max_rows=rows, **options), expected)
    first = ask(DecodeEngine(path, dtype="float32"), [PROMPT], [5], 3, first_sample=9, **options)
    same(ask(core(path), [PROMPT], [5], 3, first_sample=9, **options), first)
    ours = core(path)
    backwards = ask(ours, prompts[::-1], keys[::-1], k[::-1], max_rows=6, **options)
    assert backwards["tokens"][-len(expected["tokens"][: expected["offsets"][18]]) :].tolist() == (
        expected["tokens"][: expected["offsets"][18]].tolist()
    )


def test_stop_strings_end_samples_where_the_cpu_engine_ends_them(model):
    path, _ = model("llama-mha-untied-biases")
    table = [bytes([97 + t % 4]) * (t % 3) + b"-" * (t % 7 == 0) for t in range(131)]
    reasons = set()
    for stop, stop_tokens, rows in (
        (["ab", "bb-"], [3, 40], 5),
        (["dca", "a"], [], None),
        (["bcd", "cd", "d-"], list(range(0, 130, 9)), 3),
        (["b-ca" * 3], [7], 4),
    ):
        options = {"max_tokens": 13, "stop": stop, "stop_tokens": stop_tokens}
        options |= {"temperature": 1.5, "max_rows": rows}
        arguments = [PROMPT, OTHERS[1]], [1, 2], [9, 6]
        theirs = DecodeEngine(path, dtype="float32")
        theirs.set_vocabulary(table)
        expected = ask(theirs, *arguments, **options)
        reasons |= {*expected["finish_reason"]}
        for poll in (1, 4, 8):
            ours = core(path, poll=poll)
            ours.set_vocabulary(table)
            same(ask(ours, *arguments, **options), expected)
    assert reasons == {"stop_string", "stop_token", "length"}


@pytest.mark.parametrize("rows", [1, 4, None])
def test_a_stopped_problem_is_cancelled_and_others_go_on(model, rows):
    path, _ = model("qwen2")
    arguments = [PROMPT, OTHERS[0], OTHERS[1]], [1, 2, 3], [30, 6, 5]
    options = {"max_tokens": 9, "stop_tokens": list(range(0, 130, 5)), "max_rows": rows}
    plain = ask(core(path), *arguments, **options)
    heard = []

    def on_finish(problem, sample, tokens, logprobs, reason):
        heard.append((problem, sample, tokens, reason))
        assert len(logprobs) == len(tokens)
        return problem == 0 and len(heard) >= 3

    found = ask(core(path, poll=2), *arguments, on_finish=on_finish, **options)
    assert not found["interrupted"]
    np.testing.assert_array_equal(found["sample"], plain["sample"])
    parts = np.split(found["tokens"], found["offsets"][1:-1])
    whole = np.split(plain["tokens"], plain["offsets"][1:-1])
    told = {(problem, sample): (tokens, reason) for problem, sample, tokens, reason in heard}
    assert len(told) == len(heard)
    for row, (problem, sample) in enumerate(zip(found["problem"], found["sample"], strict=True)):
        reason = found["finish_reason"][row]
        if reason == "cancelled":
            assert problem == 0
            assert (problem, sample) not in told
            assert parts[row].tolist() == whole[row][: len(parts[row])].tolist()
        else:
            assert reason == plain["finish_reason"][row]
            assert (parts[row].tolist(), reason) == told[problem, sample]
            assert parts[row].tolist() == whole[row].tolist()
    assert "cancelled" in found["finish_reason"][:30]
    assert "cancelled" not in found["finish_reason"][30:]


@pytest.mark.parametrize("rows", [5, None])
def test_few_samples_are_ahead_of_what_may_stop_their_problem(model, rows):
    """And those that are there are not drawn again; what is not to be kept is told of all the same."""
    path, _ = model("qwen2")
    arguments = [PROMPT, OTHERS[0], OTHERS[1]], [1, 2, 3], [20, 6, 9]
    have = [[0, 3], [], [*range(1, 9)]]
    options = {"max_tokens": 7, "stop_tokens": list(range(0, 130, 5)), "max_rows": rows, "first_sample": 0}
    whole = ask(core(path), *arguments, **options)
    wanted = [
        i
        for i, pair in enumerate(zip(whole["problem"], whole["sample"], strict=True))
        if pair[1] not in have[pair[0]]
    ]
    parts = np.split(whole["tokens"], whole["offsets"][1:-1])
    for ahead in (None, 2):
        heard = {}

        def on_finish(problem, sample, tokens, logprobs, reason, heard=heard):
            heard[problem, sample] = tokens, logprobs.tolist()
            return False

        kept = ask(core(path), *arguments, have=have, ahead=ahead, **options)
        none = ask(core(path), *arguments, have=have, ahead=ahead, keep=False, on_finish=on_finish, **options)
        assert none["problem"].size == none["tokens"].size == len(none["finish_reason"]) == 0
        for name in ("problem", "sample", "stop_index"):
            np.testing.assert_array_equal(kept[name], whole[name][wanted])
        np.testing.assert_array_equal(kept["tokens"], np.concatenate([parts[i] for i in wanted]))
        told = sorted(heard)
        assert told == list(zip(kept["problem"].tolist(), kept["sample"].tolist(), strict=True))
        assert [tokens for key in told for tokens in heard[key][0]] == kept["tokens"].tolist()
        assert [logprob for key in told for logprob in heard[key][1]] == kept["logprobs"].tolist()

    begun = set()

    def stop_first(problem, sample, *_):
        begun.add((problem, sample))
        return problem == 0

    ask(core(path, poll=1), *arguments, ahead=2, on_finish=stop_first, **options)
    assert sum(problem == 0 for problem, _ in begun) <= 2


def test_what_a_call_leaves_on_the_device_serves_the_next(model):
    """Smaller calls with other settings draw what a new engine draws; others get a state of their own."""
    path, _ = model("neox-parallel")
    ours = core(path)
    whole = {"max_tokens": 9, "stop_tokens": [2, 3, 7]}
    ask(ours, [PROMPT, *OTHERS], [5, 6, 7, 8], [18, 4, 1, 7], **whole)
    kept = ours._kept
    assert kept is not None
    for options in (
        {"max_tokens": 4, "temperature": 1.9, "stop_tokens": [*range(0, 130, 17)]},
        {"max_tokens": 9, "stop_tokens": [], "max_rows": 2, "first_sample": 4},
    ):
        arguments = [OTHERS[1], PROMPT], [1, 2], [3, 9]
        same(ask(ours, *arguments, **options), ask(core(path), *arguments, **options))
        assert ours._kept is kept
    for options in ({"max_tokens": 12}, {"temperature": 0.0}, FILTERED, {"stop_tokens": [*range(20)]}):
        same(ask(ours, [PROMPT], [1], 5, **options), ask(core(path), [PROMPT], [1], 5, **options))
        assert ours._kept is not kept


def test_a_prompt_does_not_depend_on_what_is_read_beside_it(model, monkeypatch):
    """Nor on where a pack ends."""
    monkeypatch.setattr(prefill, "CHUNK", 7)
    path, _ = model("mistral-window")
    prompts, options = [PROMPT, *OTHERS], {"max_tokens": 4, "stop_tokens": []}
    together = ask(core(path), prompts, [1, 2, 3, 4], 2, **options)
    for i, prompt in enumerate(prompts):
        alone = ask(core(path), [prompt], [i + 1], 2, **options)
        some = slice(8 * i, 8 * (i + 1))
        np.testing.assert_array_equal(alone["tokens"], together["tokens"][some])
        assert alone["logprobs"] == pytest.approx(together["logprobs"][some], abs=1e-5)


@pytest.mark.parametrize(
    ("name", "rows", "ops"),
    [
        *[(name, rows, {}) for name in ("mistral-window", "neox-parallel") for rows in (None, 3)],
        ("qwen2", None, {"ops": triton_ops}),
    ],
)
def test_a_beginning_that_prompts_share_is_read_once(name, rows, ops, model, monkeypatch):
    """Whether they are read together or one after the other."""
    path, _ = model(name)
    prompts = [PROMPT, [*PROMPT, 5], [*PROMPT[:-2], 9, 9, 9], OTHERS[2], OTHERS[2][:6], PROMPT, PROMPT[:12]]
    prompts = prompts[:3] if ops else prompts  # the interpreter is slow
    arguments = prompts, list(range(1, len(prompts) + 1)), 1 if ops else 2
    options = {"max_tokens": 1 if ops else 4, "stop_tokens": [], "max_rows": rows}
    apart = ask(core(path, **ops), *arguments, **options)
    read, tokens = prefill.read, []

    def counted(weights, texts, *others):
        tokens.extend(len(text.tokens) for text in texts)
        return read(weights, texts, *others)

    monkeypatch.setattr(prefill, "read", counted)
    monkeypatch.setattr(prefill, "SHARED", 4)
    same(ask(core(path, **ops), *arguments, **options), apart)
    alike = [17, 15, 0, 0, 16, 11][: len(prompts) - 1]  # with the first, the last token aside
    if rows is None:  # all are read together, and share with the first
        assert sum(tokens) == sum(map(len, prompts)) - sum(alike)
    else:  # with the one before, as far as that is there still
        assert len(prompts) < sum(tokens) < sum(map(len, prompts))


def test_an_error_in_a_callback_reaches_the_caller(model):
    ours = core(model("qwen2")[0])

    def on_finish(*_):
        raise KeyError("from the caller")

    with pytest.raises(KeyError, match="from the caller"):
        ask(ours, [PROMPT], [1], 3, max_tokens=2, on_finish=on_finish)
    assert ask(ours, [PROMPT], [1], 3, max_tokens=2)["finish_reason"] == ["length"] * 3


def test_interrupt_returns_what_is_finished(model, request):
    # A shell's background jobs are started with the signal ignored, and Python leaves it so.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    request.addfinalizer(lambda: signal.signal(signal.SIGINT, before))
    path, _ = model("llama3-rope")
    at = []

    def progress(tokens):
        if tokens >= 60:
            at.append(tokens)
            signal.raise_signal(signal.SIGINT)

    arguments = [PROMPT, OTHERS[0]], [1, 2], [40, 100]
    options = {"max_tokens": 12, "max_rows": 8, "stop_tokens": list(range(0, 130, 9))}
    found = ask(core(path), *arguments, progress=progress, **options)
    assert len(at) == 1  # nothing was drawn after it
    assert found["interrupted"]
    plain = ask(core(path), *arguments, **options)
    reasons = np.array(found["finish_reason"])
    assert 0 < (reasons != "cancelled").sum() < 40
    assert (found["finish_reason"][40:]) == ["cancelled"] * 100
    parts = np.split(found["tokens"], found["offsets"][1:-1])
    whole = np.split(plain["tokens"], plain["offsets"][1:-1])
    for reason, part, expected in zip(reasons, parts, whole, strict=True):
        assert part.tolist() == expected[: len(part)].tolist()
        assert reason == "cancelled" or len(part) == len(expected)


def test_progress_counts_tokens(model):
    counted = []
    ask(
        core(model("qwen2")[0], poll=1),
        [PROMPT],
        [1],
        8,
        max_tokens=5,
        stop_tokens=[],
        progress=counted.append,
    )
    assert counted == sorted(counted)
    assert 0 < counted[0] <= counted[-1] <= 40


def test_prompts_wait_for_room_and_too_long_ones_are_refused(model, monkeypatch):
    path, _ = model("llama-gqa-tied")
    prompts, keys = [OTHERS[i % 3][i:] + PROMPT for i in range(5)] * 3, list(range(15))
    options = {"max_tokens": 6, "stop_tokens": [2]}
    expected = ask(core(path), prompts, keys, 3, **options)
    need = 3 * 2 * 2 * 10 * 4  # layers, keys and values, key heads, coordinates, bytes
    for budget in (200_000, 60_000, 35_000):
        monkeypatch.setattr(GpuEngine, "_budget", lambda _, budget=budget: budget)
        sizes = gpu_state.Sizes.within(
            budget,
            core(path)._weights,
            core(path)._tiles,
            problems=1,
            prompts=[40],
            rows=45,
            max_tokens=6,
            filters=Filters(),
            fp8=False,
        )
        assert sizes.pool * need + sizes.slots * 6 * need < budget
        same(ask(core(path), prompts, keys, 3, **options), expected)
    with pytest.raises(ValueError, match=r"a prompt of 33 tokens and a sample of 200 need [\d,]+ bytes"):
        ask(core(path), [PROMPT + OTHERS[2][:16]], [1], 1, max_tokens=200)


@pytest.mark.parametrize("filters", [Filters(), Filters(top_p=0.9)])
@pytest.mark.parametrize("name", ["open-lm", "mistral-window"])
def test_a_call_takes_no_more_than_it_says(model, name, filters):
    """With steps of every bucket, and samples so short that intermediate results are most of it."""
    rows, longest = 260, 600
    ours = core(model(name)[0])
    weights, tiles = ours._weights, ours._tiles
    sizes = gpu_state.Sizes.within(
        1 << 40,
        weights,
        tiles,
        problems=1,
        prompts=[longest],
        rows=rows,
        max_tokens=1,
        filters=filters,
        fp8=False,
    )
    state = gpu_state.DeviceState(weights, tiles, torch_ops, sizes, filters=filters, stop_tokens=8, fp8=False)
    x = torch.zeros(1, weights.shape.width)
    for count in (rows, 256, 64, 16):
        state.begin(1.0, 1, [])
        new = np.zeros((8, count), np.int32)
        state.place(np.zeros(0, np.int64), new, [x.expand(count, -1)], np.arange(count))
    assert sorted(state._spaces) == [16, 64, 256, rows]
    spaces = [*state._spaces.values(), Space(weights, tiles, rows, 0, filters)]
    held = [
        state.state.tokens,
        state.state.raw,
        state.state.processed,
        *(r.table for r in state._rows.values()),
    ]
    for holder in (*state.state.pools, *state.state.caches, *spaces, *(space.draw for space in spaces)):
        held += [value for value in vars(holder).values() if isinstance(value, torch.Tensor)]
    taken = sum(tensor.nbytes for tensor in held)
    assert 0.8 * sizes.bytes < taken <= sizes.bytes


@hypothesis.settings(deadline=None)
@given(st.lists(st.integers(1, 40), max_size=60), st.integers(40, 120), st.randoms(use_true_random=False))
def test_the_pool_gives_each_stretch_once(lengths, size, random):
    pool, held = Pool(size), []
    for length in lengths:
        start = pool.take(length)
        if start is not None:
            assert 0 <= start <= size - length
            assert all(start + length <= at or at + room <= start for at, room in held)
            held.append((start, length))
        while held and (start is None or random.random() < 0.4):
            pool.give(*held.pop(random.randrange(len(held))))
            start = 0
    for stretch in held:
        pool.give(*stretch)
    assert pool.take(size) == 0


def test_likelihoods_and_logits_are_those_of_the_cpu_engine(model, monkeypatch):
    monkeypatch.setattr(prefill, "CHUNK", 7)  # prompts and answers in several pieces
    for name in ("mistral-window", "open-lm", "gptneox-sequential-f32"):
        path, _ = model(name)
        cpu, ours = DecodeEngine(path, dtype="float32"), core(path)
        assert ours.logits(PROMPT) == pytest.approx(cpu.logits(PROMPT), abs=1e-3)
        prompts = [PROMPT, OTHERS[0], [9]]
        answers = [[PROMPT[:9], [4], OTHERS[0]], [[], [5, 6]], [[]]]
        found, expected = ours.score(prompts, answers), cpu.score(prompts, answers)
        for own, theirs in zip(found, expected, strict=True):
            for a, b in zip(own, theirs, strict=True):
                assert (a.dtype, a.shape) == (b.dtype, b.shape)
                assert a == pytest.approx(b, abs=1e-3)
        assert np.array_equal(ours.score([PROMPT], [[OTHERS[0]]])[0][0], found[0][2])
    table = engine(path).score(prompts[:2], [answers[0], [[5, 6]]])
    assert table["n_tokens"].to_list() == [9, 1, 8, 2]


@pytest.mark.parametrize("name", ["qwen3", "neox-parallel", "llama-mha-untied-biases"])
def test_bfloat16_is_no_further_from_float32_than_transformers(model, name):
    """Log-probabilities of sampled tokens; at most twice as far with an fp8 cache, which it does not have."""
    path, peer = model(name)
    theirs = copy.deepcopy(peer).to(torch.bfloat16)
    for cache, allowed in ((None, 1), ("fp8", 2)):
        ours = core(path, dtype="bfloat16", cache=cache)
        assert (ours.dtype, ours.kernel) == ("bfloat16", "triton")
        found = ask(ours, [PROMPT], [3], 12, max_tokens=8, stop_tokens=[])
        tokens = torch.from_numpy(found["tokens"].reshape(12, 8).astype(np.int64))
        whole = torch.cat([torch.tensor(PROMPT).expand(12, -1), tokens], 1)

        def logprobs(of, whole=whole, tokens=tokens):
            with torch.no_grad():
                logp = of(whole).logits[:, len(PROMPT) - 1 : -1].double().log_softmax(-1)
            return logp.gather(2, tokens[..., None])[..., 0].numpy()

        exact = logprobs(peer)
        error = np.abs(found["logprobs"].reshape(12, 8) - exact).mean()
        assert 0 < error <= allowed * np.abs(logprobs(theirs) - exact).mean()
