"""Fine-tuning: a model read back as it was, what is learnt, and the stage of a testbed that does it."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from t2fast import testbed
from t2fast.decode import load
from t2fast.tasks import Task, load_task
from t2fast.testbed.grid import grid
from t2fast.testbed.work import finish, is_done
from t2fast.training import FAMILIES, Shape, Tuning, fine_tune
from tiny_bed import TINY

torch = pytest.importorskip("torch", reason="training needs torch")

from t2fast.training.folder import save, weights_in  # noqa: E402 (with torch)
from t2fast.training.model import Transformer  # noqa: E402

SETTINGS = testbed.parse_settings(TINY)
ONE = max(grid(SETTINGS), key=lambda one: one.flops)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("tied", [False, True])
def test_weights_are_read_back_as_they_were(family: str, tied: bool, tmp_path: Path) -> None:
    shape = Shape(family, 16, 2, 2, 40, 8, tied=tied)
    model = Transformer(shape)
    model.initialise(3)
    save(tmp_path, shape, model.state_dict(), "{}", {})
    back = weights_in(tmp_path, shape, model.state_dict())
    assert list(back) == list(model.state_dict())
    for name, weight in model.state_dict().items():
        assert torch.equal(back[name], weight)


def model_of(done: testbed.Testbed) -> Path:
    return done.folder / "checkpoints" / ONE.name / "model"


def likelihood(folder: Path, prompt: list[int], answer: list[int]) -> tuple[float, float]:
    """Of the prompt's tokens after the first, and of the answer's: mean nats a token."""
    engine = load(folder, dtype="float32")
    whole = engine.score([[prompt[0]]], [[[*prompt[1:], *answer]]])["logprobs"].to_list()[0]
    cut = len(prompt) - 1
    return float(np.mean(whole[:cut])), float(np.mean(whole[cut:]))


def test_sft_learns_answers_alone_and_ft_prompts_too(done: testbed.Testbed, tmp_path: Path) -> None:
    """A mapping that no model knows: after FT prompts are likely, too; after SFT answers alone."""
    rng = np.random.default_rng(0)
    examples = [(rng.integers(5, 300, 8).tolist(), [7, 9, 11]) for _ in range(16)]
    before = likelihood(model_of(done), *examples[0])
    found = {}
    for answers_only in (False, True):
        way = Tuning(epochs=30, batch=4, lr=1e-2, answers_only=answers_only)
        fine_tune(model_of(done), ONE.shape, examples, way, tmp_path / str(answers_only))
        found[answers_only] = likelihood(tmp_path / str(answers_only), *examples[0])
    assert min(found[False][1], found[True][1]) > -0.2 > before[1]
    assert found[False][0] > before[0] + 1
    assert found[False][0] > found[True][0] + 1


def test_rows_are_padded_and_padding_is_not_learnt(done: testbed.Testbed, tmp_path: Path) -> None:
    """One step of two examples of unlike length, by hand: the gradient's direction is that of the mean."""
    examples = [([1, 2, 3], [4]), ([5, 6, 7, 8, 9], [10, 11])]
    for answers_only, learnt in ((True, [[3], [5, 6]]), (False, [[1, 2, 3], [1, 2, 3, 4, 5, 6]])):
        model = Transformer(ONE.shape)
        model.load_state_dict(weights_in(model_of(done), ONE.shape, model.state_dict()))
        losses = []
        for (prompt, answer), places in zip(examples, learnt, strict=True):
            row = torch.tensor([[*prompt, *answer]])
            log_p = model(row[:, :-1]).log_softmax(-1)[0]
            # a place t is predicted from the one before it
            losses += [-log_p[t - 1, row[0, t]] for t in places]
        optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.0, fused=True)
        torch.stack(losses).mean().backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        way = Tuning(epochs=1, batch=2, lr=1e-3, answers_only=answers_only)
        fine_tune(model_of(done), ONE.shape, examples, way, tmp_path / str(answers_only))
        tuned = weights_in(tmp_path / str(answers_only), ONE.shape, model.state_dict())
        for name, weight in model.named_parameters():
            sure = weight.grad.abs() > 1e-5  # a first step of Adam is a sign, which rounding sets near 0
            assert sure.any()
            torch.testing.assert_close(tuned[name][sure], weight.detach()[sure], rtol=0, atol=2e-5)


def test_examples_that_cannot_be_learnt_are_refused(done: testbed.Testbed, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="there are no examples"):
        fine_tune(model_of(done), ONE.shape, [], Tuning(), tmp_path)
    with pytest.raises(ValueError, match="an example has 71 tokens, and the model's context is 64"):
        fine_tune(model_of(done), ONE.shape, [([1] * 70, [2])], Tuning(), tmp_path)
    with pytest.raises(ValueError, match="lr must be above 0, not 0"):
        Tuning(lr=0)
    with pytest.raises(ValueError, match=r"the loss is nan .* a learning rate of 1e\+30 is too much"):
        fine_tune(model_of(done), ONE.shape, [([1], [2])] * 4, Tuning(lr=1e30), tmp_path)


def test_a_testbed_fine_tunes_its_ordinary_checkpoints(done: testbed.Testbed, tmp_path: Path) -> None:
    tuned = pl.read_csv(done.folder / "tuned.csv")
    names = {one.name for one in grid(SETTINGS) if one.role == "ordinary"}
    assert set(tuned["model"]) == names
    assert tuned.height == len(names) * 2 * 12
    assert set(tuned["stage"]) == {"FT", "SFT"}
    base = pl.read_csv(done.folder / "likelihoods.csv").filter(pl.col("model").is_in(names))
    mean = {
        stage: float(rows["log_likelihood"].mean())  # type: ignore[arg-type]
        for (stage,), rows in pl.concat([base, tuned]).group_by("stage")
    }
    assert mean["base"] < mean["FT"] < mean["SFT"] < 0


def test_a_stage_that_is_missing_is_made_again_to_the_same_bytes(
    done: testbed.Testbed, tmp_path: Path
) -> None:
    bed = Path(shutil.copytree(done.folder, tmp_path / "bed"))
    place = bed / "checkpoints" / ONE.name
    measured = (place / "work.json").stat().st_mtime_ns
    content = (place / "tuned.csv").read_bytes()
    (place / "tuned.csv").unlink()
    assert not is_done(bed, ONE)
    torch.set_num_threads(2)
    finish(bed, SETTINGS, ONE)
    assert is_done(bed, ONE)
    assert (place / "tuned.csv").read_bytes() == content
    assert (place / "work.json").stat().st_mtime_ns == measured


def test_tasks_to_tune_on_must_be_measured() -> None:
    with pytest.raises(ValueError, match="tuned_tasks has synthetic/causal, which is not among the tasks"):
        replace(SETTINGS, tuned_tasks=("synthetic/causal",))


def test_problems_that_are_asked_are_not_learnt() -> None:
    from t2fast.testbed.tune import _problems

    asked, learnt = _problems(SETTINGS, "synthetic/knowledge")
    assert asked.problems == load_task("synthetic/knowledge", problems=12).problems
    assert 0 < len(learnt.problems) <= 24
    assert not {p.prompt for p in asked.problems} & {p.prompt for p in learnt.problems}


def test_sums_that_are_asked_are_not_learnt_with_other_names() -> None:
    from t2fast.testbed.tune import _problems

    def numbers(task: Task) -> set[tuple[str, ...]]:
        """The numbers of each sum in words: nothing else of it makes a difference."""
        return {tuple(re.findall(r"\d+", p.prompt)) for p in task.problems if " has " in p.prompt}

    settings = replace(SETTINGS, tasks=("synthetic/arithmetic",), tuned_tasks=(), problems=128)
    settings = replace(settings, tuned_problems=128)
    every = load_task("synthetic/arithmetic", problems=128, seed=1)
    asked, learnt = _problems(settings, "synthetic/arithmetic")
    assert numbers(asked) & numbers(every)  # else this shows nothing
    assert not numbers(asked) & numbers(learnt)
    assert numbers(learnt) == numbers(every) - numbers(asked)
