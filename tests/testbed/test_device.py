"""A testbed on a GPU, as far as a machine without one shows: its settings, its sizes, and the refusal."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from t2fast import testbed
from t2fast.cli.main import main
from t2fast.testbed import loop
from t2fast.testbed.grid import grid, up_to
from t2fast.testbed.settings import claim, settings_in
from tiny_bed import TINY

torch = pytest.importorskip("torch", reason="training needs torch")
without_gpu = pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU")

GPU = testbed.read_settings("gpu")
RATE = 5e13
"""FLOPs a second that the preset's words assume."""


def test_the_preset_has_the_sizes_and_budgets_that_it_says() -> None:
    sizes = [shape.n_params for shape in GPU.shapes]
    assert sizes == sorted(sizes)
    assert 1.0e6 < sizes[0] < 1.1e6
    assert 3.8e7 < sizes[-1] < 4e7
    assert {shape.head_dim for shape in GPU.shapes} == {64}
    checkpoints = grid(GPU)
    assert len(checkpoints) == 39
    for one in checkpoints:
        near = min({*GPU.budgets, *GPU.overtrained_budgets}, key=lambda budget: abs(budget - one.flops))
        assert one.flops == pytest.approx(near, rel=0.05)
        assert one.recipe.steps(GPU.context) >= GPU.least_steps
        # 6 N D, by hand
        steps = one.recipe.steps(GPU.context) * one.recipe.batch * GPU.context
        assert one.flops == 6.0 * one.shape.n_params * steps
    total = sum(one.flops for one in checkpoints)
    assert total == pytest.approx(8.7e15, rel=0.01)
    assert GPU.train_flops == 8 * max(GPU.budgets)
    assert sum(one.flops <= up_to(GPU) for one in checkpoints) >= 30
    assert (total + 3 * GPU.train_flops) / RATE < 7 * 60 + 1  # with a plan or three


def test_the_loop_may_take_sizes_on_both_sides_of_chinchillas() -> None:
    """Twenty tokens a parameter: C = 120 N^2."""
    most = 0.98 * GPU.corpus_tokens
    there = [n for n in (shape.n_params for shape in GPU.shapes) if GPU.train_flops / (6 * n) <= most]
    usual = (GPU.train_flops / 120) ** 0.5
    assert sum(n < usual for n in there) >= 2
    assert sum(n > usual for n in there) >= 2
    for n in there:
        shape = next(shape for shape in GPU.shapes if shape.n_params == n)
        k = int(GPU.inference_flops / (2 * n))
        said = loop.Promise("task", "plan", float(n), GPU.train_flops / (6 * n), k, 0.5, 0.4, 0.6)
        (one,) = loop.chosen(GPU, [said])
        assert one.flops == pytest.approx(GPU.train_flops, rel=0.05)
        assert one.samples >= k >= 1
        assert one.shape == shape


@without_gpu
@pytest.mark.parametrize("more", [[], ["--workers", "2"], ["--share", "1/4"], ["--estimate"]])
def test_without_a_gpu_one_line_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], more: list[str]
) -> None:
    folder = tmp_path / "bed"
    if "--share" in more:  # the corpus is there
        folder.mkdir()
        claim(folder, GPU)
        (folder / "tokenizer.json").touch()
    assert main(["testbed", "gpu", "-o", str(folder), *more]) == 1
    said = capsys.readouterr().err
    assert len(said.splitlines()) == 1
    assert "--device cuda: torch" in said
    assert "or use --device cpu" in said
    assert folder.exists() == ("--share" in more)  # nothing was begun


@without_gpu
def test_training_without_a_gpu_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = ["train", "--generate", "20k", "--vocab", "320", "--tokens", "10k", "--device", "cuda"]
    assert main([*given, "-o", str(tmp_path / "model")]) == 1
    said = capsys.readouterr().err
    assert len(said.splitlines()) == 1
    assert "--device cuda: torch" in said
    assert not (tmp_path / "model").exists()


def test_the_device_is_a_setting_and_a_flag(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert testbed.parse_settings(TINY).device == "cpu"
    assert testbed.parse_settings(f'{TINY}device = "cuda"\n').device == "cuda"
    with pytest.raises(ValueError, match="device must be 'cpu' or 'cuda', not 'tpu'"):
        testbed.parse_settings(f'{TINY}device = "tpu"\n')
    with pytest.raises(ValueError, match="device is 1: text is wanted"):
        testbed.parse_settings(f"{TINY}device = 1\n")
    assert main(["testbed", "gpu", "--device", "cpu", "-o", str(tmp_path / "bed"), "--share", "3/2"]) == 1
    assert "share 3/2 is none" in capsys.readouterr().err


def test_a_testbed_from_before_there_were_devices_is_one_of_the_cpu(tmp_path: Path) -> None:
    settings = testbed.parse_settings(TINY)
    before = asdict(settings)
    del before["device"]
    (tmp_path / "settings.json").write_text(json.dumps(before))
    assert settings_in(tmp_path) == settings
    claim(tmp_path, settings)
    with pytest.raises(ValueError, match="device was cpu and is cuda"):
        claim(tmp_path, replace(settings, device="cuda"))
