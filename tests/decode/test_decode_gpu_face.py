"""The GPU engine beside the CPU engine: the same face, text and refusals, and what is said without a GPU."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import decode_models
import pytest
import t2fast.decode
from decode_models import ask
from t2fast._core import DecodeEngine
from t2fast.decode.request import Backend

torch = pytest.importorskip("torch", reason="needs torch")
pytest.importorskip("triton", reason="needs triton, which comes with torch's builds for GPUs")

from gpu_engines import PROMPT, core, engine, same  # noqa: E402
from t2fast.kernels import triton_ops  # noqa: E402


@pytest.mark.filterwarnings("ignore:.*limited to the 128 positions")
@pytest.mark.parametrize("name", decode_models.MORE)
def test_every_family_is_computed_as_on_the_cpu(model, name):
    path, _ = model(name)
    ours, cpu = core(path), DecodeEngine(path, dtype="float32")
    assert ours.logits(PROMPT) == pytest.approx(cpu.logits(PROMPT), abs=1e-3)
    options = {"max_tokens": 6, "stop_tokens": []}
    same(ask(ours, [PROMPT], [7], [5], **options), ask(cpu, [PROMPT], [7], [5], **options))


@pytest.mark.parametrize("name", ["gemma2", "granite4", "gpt2", "stablelm-head-norms"])
def test_the_kernels_compute_what_few_families_have(model, name):
    path, _ = model(name)
    ours, cpu = core(path, ops=triton_ops), DecodeEngine(path, dtype="float32")
    assert ours.logits(PROMPT[:5]) == pytest.approx(cpu.logits(PROMPT[:5]), abs=1e-3)


def test_attributes_are_those_of_the_cpu_engine(model):
    for name in ("llama-gqa-tied", "open-lm", "qwen2-q8_0"):
        path, _ = model(name)
        cpu, ours = DecodeEngine(path, dtype="float32"), core(path)
        face = {name for name in dir(Backend) if not name.startswith("_")}
        assert face <= {*dir(ours)}
        assert face <= {*dir(cpu)}
        for attribute in (name for name in dir(cpu.model) if not name.startswith("_")):
            assert getattr(ours.model, attribute) == getattr(cpu.model, attribute), attribute
        assert ours.weight_bytes >= 4 * 0.9 * (ours.model.n_params - ours.model.width * 20)
        assert "triton, cpu" in repr(engine(path))


@pytest.mark.parametrize(
    ("prompts", "options"),
    [
        ([PROMPT], {"temperature": -1.0}),
        ([PROMPT], {"max_tokens": 100_000}),
        ([PROMPT], {"stop_tokens": [999]}),
        ([PROMPT], {"max_rows": 0}),
        ([[]], {}),
    ],
)
def test_bad_input_is_refused_in_the_words_of_the_cpu_engine(model, tmp_path, prompts, options):
    path, _ = model("llama-gqa-tied")
    shutil.copytree(path, tmp_path / "model")
    for file in ("config.json", "generation_config.json"):
        written = tmp_path / "model" / file
        written.write_text(written.read_text().replace('"bos_token_id": 1', '"bos_token_id": null'))
    with pytest.raises(ValueError, match=r"\w") as expected:
        t2fast.decode.load(tmp_path / "model").sample(prompts, **options)
    with pytest.raises(ValueError, match=r"\w") as found:
        engine(tmp_path / "model").sample(prompts, **options)
    assert str(found.value) == str(expected.value)


def test_text_is_that_of_the_cpu_engine(smollm2):
    options = {"k": 3, "max_tokens": 5, "seed": 1, "temperature": 0.8, "stop": [" the", "."]}
    prompts = ["The capital of France is", "Water boils at"]
    theirs = t2fast.decode.load(smollm2, dtype="float32")
    expected = theirs.sample(prompts, verify=lambda *_: False, **options)
    found = engine(smollm2).sample(prompts, verify=lambda *_: False, **options)
    assert found.table.drop("logprob", "processed_logprob").equals(
        expected.table.drop("logprob", "processed_logprob")
    )
    assert found.table["logprob"].to_list() == pytest.approx(expected.table["logprob"].to_list(), abs=1e-2)
    assert "stop_string" in found.table["finish_reason"].to_list()


def test_options_that_do_not_go_together_are_named(model):
    path, _ = model("llama-gqa-tied")
    for options, message in (
        ({"device": "cuda", "threads": 2}, "threads is for device='cpu'"),
        ({"device": "cuda", "kernel": "avx2"}, "kernel is for device='cpu'"),
        ({"cache": "fp8"}, "cache is for device='cuda'"),
        ({"device": "gpu"}, "device must be 'cpu' or 'cuda', not 'gpu'"),
    ):
        with pytest.raises(ValueError, match=message):
            t2fast.decode.load(path, **options)
    with pytest.raises(ValueError, match="dtype must be"):
        core(path, dtype="float16")
    with pytest.raises(ValueError, match="cache must be"):
        core(path, cache="int4")


def run(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": "", "HIP_VISIBLE_DEVICES": ""},
    )
    return done.stdout + done.stderr


def test_without_a_gpu_the_error_says_so_before_a_model_is_read():
    out = run("import t2fast.decode; t2fast.decode.load('no-such-model', device='cuda')")
    assert "ValueError: device='cuda': torch" in out
    assert "or use device='cpu'" in out
    assert "no-such-model" not in out.splitlines()[-1]


def test_without_torch_the_package_imports_and_the_error_says_what_to_install(model):
    path, _ = model("llama-gqa-tied")
    out = run(
        "import sys\n"
        "sys.modules['torch'] = sys.modules['triton'] = None\n"
        "import t2fast, t2fast.decode, t2fast.kernels, t2fast.cli.main\n"
        f"print(t2fast.decode.load({str(path)!r}).sample([5, 6], k=1, max_tokens=2).table.height)\n"
        f"t2fast.decode.load({str(path)!r}, device='cuda')"
    )
    assert out.startswith("1\n")
    assert out.splitlines()[-1].startswith("ImportError: device='cuda' needs the packages torch and triton")
    assert "pip install 't2fast[gpu]'" in out
    failed = run(
        "import sys\n"
        "sys.modules['torch'] = None\n"
        "from t2fast.cli.main import main\n"
        f"print(main(['sample', {str(path)!r}, '--prompt', 'x', '--device', 'cuda']))"
    )
    assert failed.startswith("1\n")
    assert "t2fast[gpu]" in failed
    assert "Traceback" not in failed
