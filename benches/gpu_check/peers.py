"""Beside transformers: the gate and the timings of `gpu_decode`, for the model in the middle."""

from __future__ import annotations

import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch

from benches.gpu_check.bare import ROOT
from benches.gpu_check.results import Results
from benches.gpu_check.work import KS, NEW, PROMPT

sys.path.insert(0, str(ROOT / "benches"))  # as for gpu_decode, which runs from there
import _gpu_sides as sides
import _roofline

MODEL = next(m for m in _roofline.MODELS if m.name == "SmolLM2-135M")


def peers(results: Results) -> None:
    """`generate` as it is, and with the cache of fixed size for which steps are compiled and captured."""
    for case, ks in (("transformers", KS), ("compiled", KS)):
        if ("peers", f"{case} k={ks[-1]}") in results.had:
            continue
        for row in sides.timings(MODEL, PROMPT, NEW, ks, 2, [case], "cuda"):
            results.add("peers", f"{case} k={row['k']}", **row)
        sides.free()


def compiled_for(ops: SimpleNamespace) -> None:
    """What gate and timings launch; one layer has every kernel."""
    one = replace(MODEL, name="one layer", layers=1)
    tokens = np.random.default_rng(0).integers(3, one.vocab, PROMPT).tolist()
    with tempfile.TemporaryDirectory() as temporary:
        folder = sides.write(one, Path(temporary), PROMPT + NEW)
        for dtype in ("float32", "bfloat16"):
            core = sides.GpuEngine(folder, dtype=dtype, device=torch.device("cpu"), ops=ops)
            sides.drawn(core, tokens[: sides.GATE_PROMPT], sides.GATE_SAMPLES)
            core.score([tokens[:1]], [[tokens[1:]]])
