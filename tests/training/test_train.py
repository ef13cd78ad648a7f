"""Models that are trained here: the files load elsewhere with the same logits, and a kill changes no bit."""

from __future__ import annotations

import json
import math
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import t2fast.decode
from t2fast import training
from t2fast.cli.main import main

torch = pytest.importorskip("torch", reason="training needs torch")
transformers = pytest.importorskip("transformers", reason="the peer that trained models load in")

from safetensors.torch import load_file  # noqa: E402
from t2fast.training import loop  # noqa: E402
from t2fast.training.folder import _named  # noqa: E402
from t2fast.training.model import Transformer  # noqa: E402

TEXT = "the cat sat on a mat and saw two red birds over one old house"
FAMILIES = [("open_lm", True), ("open_lm", False), ("llama", True), ("llama", False), ("qwen3", True)]


def documents(count: int = 400) -> list[str]:
    chance, words = random.Random(0), TEXT.split()
    return [" ".join(chance.choices(words, k=chance.randint(4, 12))) + "." for _ in range(count)]


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("text") / "corpus.jsonl"
    path.write_text("".join(json.dumps({"text": one}) + "\n" for one in documents()))
    return path


@pytest.fixture(scope="module")
def cut() -> tuple[training.Corpus, str]:
    tokenizer = training.train_tokenizer(documents(), 300)
    return training.Corpus.of(training.cut(tokenizer, documents())), tokenizer.to_str()


def shape_of(family: str, tied: bool) -> training.Shape:
    return training.Shape(family, width=16, layers=2, heads=2, vocab=300, context=32, tied=tied)


@pytest.fixture(scope="module", params=FAMILIES, ids=lambda p: f"{p[0]}-{'tied' if p[1] else 'untied'}")
def trained(request, cut, tmp_path_factory) -> tuple[training.Trained, training.Shape]:
    shape = shape_of(*request.param)
    recipe = training.Recipe(n_tokens=40 * 8 * 32, batch=8, lr=1e-2)
    folder = tmp_path_factory.mktemp("model") / "model"
    return training.train(*cut, shape, recipe, folder, threads=1), shape


def weights_logits(trained: training.Trained, shape: training.Shape, tokens: list[int]) -> np.ndarray:
    """The training code's own forward pass on the weights that it saved, found by their shapes and order."""
    model = Transformer(shape)
    saved = load_file(trained.folder / "model.safetensors")
    own = model.state_dict()
    # Every value says which tensor's and the how-manieth it is, so that names are matched by content.
    ours = {
        name: (1e6 * i + torch.arange(w.numel(), dtype=torch.float64)).view(w.shape)
        for i, (name, w) in enumerate(own.items())
    }
    for where, part in _named(shape, ours).items():
        index, start = divmod(int(part.flatten()[0]), 1_000_000)
        name = list(own)[index]
        own[name].view(-1)[start : start + part.numel()] = saved[where].flatten()
    if shape.tied:
        own["output.weight"].copy_(own["embedding.weight"])
    model.load_state_dict(own)
    with torch.no_grad():
        return model(torch.tensor([tokens]))[0].numpy()


def test_the_engine_computes_the_logits_that_training_does(trained) -> None:
    done, shape = trained
    tokens = np.random.default_rng(0).integers(0, 300, 32).tolist()
    engine = t2fast.decode.load(done.folder, dtype="float32", threads=1)
    assert engine.core.model.n_params == shape.n_params == done.n_params
    expected = weights_logits(done, shape, tokens)
    found = engine.core.logits(tokens)
    assert np.abs(found - expected).max() < 4e-5 * np.abs(expected).max()


@pytest.mark.parametrize("trained", [one for one in FAMILIES if one[0] != "open_lm"], indirect=True)
def test_transformers_computes_the_logits_that_the_engine_does(trained) -> None:
    done, shape = trained
    tokens = np.random.default_rng(1).integers(0, 300, 32).tolist()
    peer = transformers.AutoModelForCausalLM.from_pretrained(done.folder, dtype=torch.float32).eval()
    assert peer.num_parameters() == shape.n_params
    with torch.no_grad():
        expected = peer(torch.tensor([tokens])).logits[0].numpy()
    found = t2fast.decode.load(done.folder, dtype="float32", threads=1).core.logits(tokens)
    assert np.abs(found - expected).max() < 4e-5 * np.abs(expected).max()
    tokenizer = transformers.AutoTokenizer.from_pretrained(done.folder)
    engine = t2fast.decode.load(done.folder)
    assert tokenizer("the cat sat")["input_ids"] == engine.tokenizer.encode("the cat sat")
    # The family's own special tokens would be beyond the embedding.
    assert len(tokenizer) == shape.vocab
    assert tokenizer.eos_token_id == tokenizer.pad_token_id == peer.config.eos_token_id == 0
    padded = tokenizer(["the cat", "the cat sat on a mat"], padding=True, return_tensors="pt")
    padded.pop("token_type_ids", None)
    assert peer(**padded).logits.shape[-1] == shape.vocab


def test_training_learns_and_says_what_it_trained(trained) -> None:
    done, _ = trained
    config = json.loads((done.folder / "config.json").read_text())
    assert config["n_tokens"] == done.n_tokens == 40 * 8 * 32
    assert not (done.folder / "state").exists()
    lines = (done.folder / "losses.csv").read_text().splitlines()[1:]
    losses = [float(line.split(",")[3]) for line in lines]
    assert len(losses) == 40
    assert losses[-1] < losses[0] - 1
    assert 0.5 < done.loss < losses[0] - 1


def test_the_held_out_loss_is_the_engines(trained, cut) -> None:
    done, shape = trained
    engine = t2fast.decode.load(done.folder, dtype="float32", threads=1)
    total = count = 0.0
    for row in cut[0].held_out(shape.context):
        logits = engine.core.logits(row[:-1].tolist()).astype(np.float64)
        logits -= logits.max(-1, keepdims=True)
        log_p = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
        total -= log_p[np.arange(len(row) - 1), row[1:]].sum()
        count += len(row) - 1
    assert done.loss == pytest.approx(total / count, rel=1e-5)


def test_a_step_is_the_papers() -> None:
    """Loss, z-loss, clipping and AdamW with a decay that does not follow the learning rate, once more in
    float64 by hand."""
    shape = shape_of("llama", True)
    model = Transformer(shape).double()
    model.initialise(3)
    recipe = training.Recipe(n_tokens=1e4, lr=1e-2, weight_decay=0.05, clip=0.3, z_loss=0.1)
    optimiser = loop._optimiser(model, recipe)
    rows = torch.from_numpy(np.random.default_rng(2).integers(0, 300, (4, 33)))
    before = {name: w.detach().clone() for name, w in model.named_parameters()}
    logits = model(rows[:, :-1])
    normaliser = logits.exp().sum(-1).log()
    loss = (normaliser - logits.gather(-1, rows[:, 1:, None])[..., 0]).mean()
    grads = torch.autograd.grad(loss + 0.1 * (normaliser**2).mean(), list(model.parameters()))
    norm = math.sqrt(sum(float((g**2).sum()) for g in grads))
    assert norm > 0.3
    found = loop._step(model, optimiser, rows, recipe)
    assert float(found) == pytest.approx(loss.item(), rel=1e-6)
    for (name, weight), grad in zip(model.named_parameters(), grads, strict=True):
        g = grad * 0.3 / norm
        decay = 0.05 if weight.dim() > 1 else 0.0
        expected = before[name] * (1 - decay) - 1e-2 * g / (g.abs() + 1e-8)  # the first step's moments cancel
        # Logits are float32 from here on: a gradient near zero, whose sign decides, may differ.
        off = (weight.detach() - expected).abs() > 1e-5
        assert off.double().mean() < 0.01, name


def test_the_schedule_warms_up_and_ends_at_zero() -> None:
    recipe = training.Recipe(n_tokens=100 * 16 * 64, lr=1.0)
    rates = [recipe.rate(step, 10 * 16 * 64, 64) for step in range(100)]
    assert rates[:10] == pytest.approx([(i + 1) / 10 for i in range(10)])
    assert rates[10] == 1.0
    assert rates[55] == pytest.approx(0.5)
    assert rates[99] == pytest.approx(0.5 * (1 + math.cos(math.pi * 89 / 90)))
    short = training.Recipe(n_tokens=10 * 16 * 64)
    assert short.warm_up(10**9, 64) == 2


def test_an_epoch_has_every_sequence_once(cut) -> None:
    order = cut[0].order(5, 32, 32 * 21 + 1)
    assert order.length == 21
    rows = np.concatenate([order.batch(step, 7) for step in range(6)])
    once = {tuple(row) for row in rows[:21]}
    assert len(once) == len({tuple(order.tokens[i * 32 : i * 32 + 33]) for i in range(21)})
    assert once == {tuple(row) for row in rows[21:]}
    assert (rows[:21] != rows[21:]).any()


def arguments(text: Path, folder: Path) -> list[str]:
    options = "--family qwen3 --width 16 --layers 1 --context 32 --tokens 19200 --batch 4 --vocab 300"
    return ["train", str(text), "-o", str(folder), *options.split(), "--threads", "1", "--save-every", "10"]


def test_a_run_that_is_killed_ends_with_the_same_bytes(text: Path, tmp_path: Path) -> None:
    folder, whole = tmp_path / "killed", tmp_path / "whole"
    assert main(arguments(text, whole)) == 0
    code = "from t2fast.cli.main import main; raise SystemExit(main())"
    run = subprocess.Popen([sys.executable, "-c", code, *arguments(text, folder)], stdout=subprocess.DEVNULL)
    state = folder / "state" / "state.safetensors"
    while not state.exists():
        assert run.poll() is None
        time.sleep(0.002)
    os.kill(run.pid, signal.SIGKILL)
    run.wait()
    assert not (folder / "config.json").exists()
    assert main(arguments(text, folder)) == 0
    names = sorted(path.name for path in whole.iterdir())
    assert names == [
        *("config.json", "losses.csv", "model.safetensors"),
        *("tokenizer.json", "tokenizer_config.json", "training.json"),
    ]
    for name in names:
        assert (folder / name).read_bytes() == (whole / name).read_bytes(), name


def test_another_training_in_the_folder_is_refused(trained, cut, tmp_path: Path) -> None:
    done, shape = trained
    other = training.Recipe(n_tokens=40 * 8 * 32, batch=8, lr=2e-2)
    with pytest.raises(ValueError, match=r"lr was 0\.01 and is 0\.02"):
        training.train(*cut, shape, other, done.folder, threads=1)
    same = training.Recipe(n_tokens=40 * 8 * 32, batch=8, lr=1e-2)
    again = training.train(*cut, shape, same, done.folder, threads=1)
    assert (again.loss, again.seconds) == (done.loss, 0.0)
    (tmp_path / "note.txt").write_text("mine")
    with pytest.raises(ValueError, match=r"not empty \(it has note\.txt\)"):
        training.train(*cut, shape, same, tmp_path, threads=1)


def test_what_cannot_be_trained_is_refused_in_words(cut, text: Path, tmp_path: Path, capsys) -> None:
    with pytest.raises(ValueError, match="there are open_lm, llama, qwen3"):
        training.Shape("gpt", 16, 1, 1, 300)
    with pytest.raises(ValueError, match="width 18 does not divide into 4 heads"):
        training.Shape("llama", 18, 1, 4, 300)
    with pytest.raises(ValueError, match="257"):
        training.train_tokenizer(documents(), 100)
    with pytest.raises(ValueError, match="9,999,999 unique tokens are wanted"):
        cut[0].order(0, 32, 9_999_999)
    with pytest.raises(ValueError, match="seed must be 0 or more, not -1"):
        training.Recipe(1e4, seed=-1)
    given = shape_of("llama", True), training.Recipe(1e4), tmp_path / "m"
    for setting in ("threads", "save_every"):
        with pytest.raises(ValueError, match=f"{setting} must be at least 1, not 0"):
            training.train(*cut, *given, **{setting: 0})
    assert not (tmp_path / "m").exists()
    (tmp_path / "bad.jsonl").write_text('{"title": "x"}\n')
    assert main(["train", str(tmp_path / "bad.jsonl"), "-o", str(tmp_path / "m"), "--tokens", "1k"]) == 1
    assert "row 0: no 'text'" in capsys.readouterr().err
    (tmp_path / "line.txt").write_text("one line\n")
    assert main(["train", str(tmp_path / "line.txt"), "-o", str(tmp_path / "m"), "--tokens", "1k"]) == 1
    assert "the corpus has 4 tokens to train on: too few for one sequence of 64" in " ".join(
        capsys.readouterr().err.split()
    )


def test_what_the_corpus_could_not_give_is_said(text: Path, tmp_path: Path, capsys) -> None:
    given = arguments(text, tmp_path / "model")
    given[given.index("--vocab") + 1] = "5000"
    assert main(given) == 0
    said = " ".join(capsys.readouterr().err.split())
    config = json.loads((tmp_path / "model" / "config.json").read_text())
    assert f"the vocabulary has {config['vocab_size']} tokens, not 5,000" in said
    times = config["n_tokens"] / config["unique_tokens"]
    assert times > 2
    assert f"the corpus has {config['unique_tokens']:,} tokens, each read {times:.1f} times" in said
