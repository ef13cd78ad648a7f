"""Small models of every family beside what the CPU engine drew from the same seeds."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np

from benches.gpu_check.bare import CARRIED, REHEARSED, ROOT

# One of each path through the kernels: groups, biases, a window, norms of heads or rows, parallel, splits.
NAMES = [
    "llama-gqa-tied",
    "llama-mha-untied-biases",
    "mistral-window",
    "qwen3",
    "neox-parallel",
    "open-lm",
    "llama-long",
    "neox-d80",
]
FILTERED = {"temperature": 1.7, "top_k": 50, "top_p": 0.9, "min_p": 0.02}
SETTINGS = {"max_tokens": 9, "stop_tokens": [2, 3, 7, 40], "temperature": 1.2}
KEYS, K = [5, 2**64 - 1, 6], [18, 4, 1]
OUTPUTS = ("tokens", "logprobs", "processed_logprobs")


def make(folder: Path = CARRIED, names: list[str] = NAMES) -> None:
    """Models, and in models.json what the CPU engine draws from them; needs the test extras."""
    sys.path.insert(0, str(ROOT / "tests" / "decode"))
    import decode_models as models
    from t2fast import _core

    long = {"max_position_embeddings": 2048}
    folders = models.FOLDERS | {
        "llama-long": lambda: models._llama(num_key_value_heads=2, **long),
        "neox-d80": lambda: models._neox(True, hidden_size=160, num_attention_heads=2, **long),
    }
    models.FOLDERS.update(folders)
    shutil.rmtree(folder / "models", ignore_errors=True)
    (folder / "models").mkdir(parents=True)
    cases = []
    for name in names:
        path = folder / "models" / name
        if name == "open-lm":
            models.write_open_lm(path)
        else:
            models.write_folder(name, path)
        rng = np.random.default_rng(0)
        lengths = (613, 256, 257) if name in ("llama-long", "neox-d80") else (17, 3, 40)
        prompts = [rng.integers(4, 130, n).tolist() for n in lengths]
        core = _core.DecodeEngine(str(path), dtype="float32")
        scored = core.score(prompts[:1], [[prompts[0][:9]]])[0][0].tolist()
        every = name in ("llama-gqa-tied", "open-lm")
        for kind, extra in (("plain", {}), ("filtered", FILTERED), ("greedy", {"temperature": 0.0})):
            if kind != "plain" and not every:
                continue
            found = models.ask(core, prompts, KEYS, K, **{**SETTINGS, **extra})
            expected = {key: np.asarray(found[key]).tolist() for key in OUTPUTS}
            case = {"name": f"{name} {kind}", "path": name, "prompts": prompts, "extra": extra}
            cases.append({**case, "expected": expected, "score": scored, "fp8": every and kind == "plain"})
    (folder / "models.json").write_text(json.dumps(cases))


def models(results: Any) -> None:
    """In float32 the CPU engine's tokens, in bfloat16 the same bits, however the batch is cut."""
    folder = results.path.parent / "carried" if REHEARSED else CARRIED
    listed = folder / "models.json"  # written last
    if REHEARSED and not listed.exists():
        make(folder, NAMES[:1])
    if not listed.exists():
        raise SystemExit(
            "no models: run python -m benches.gpu_check.pack where the test extras are installed"
        )
    for case in json.loads(listed.read_text()):
        results.take(
            "models", case["name"], lambda case=case: compare(folder / "models" / case["path"], case)
        )


def compare(path: Path, case: dict[str, Any]) -> dict[str, Any]:
    """One model and its settings."""
    from t2fast.decode.gpu import state as states
    from t2fast.decode.gpu.engine import GpuEngine
    from t2fast.decode.request import Request, Sampling

    from benches.gpu_check.results import device
    from benches.gpu_check.work import OPS

    def ask(core: GpuEngine, n: int, k: list[int], rows: int | None, **changes: Any) -> Any:
        rules = Sampling(**{**SETTINGS, **case["extra"], **changes})
        return core.sample(Request(case["prompts"][:n], KEYS[:n], k, rules, max_rows=rows))

    found: dict[str, Any] = {}
    usual = states.BUCKETS
    core = GpuEngine(path, dtype="float32", device=device(), ops=OPS)
    # Row counts of one kind to the compiler (neither 1 nor a multiple of 4), but for the first.
    for how, buckets, poll, rows in (("plain", usual, 8, None), ("small", (1, 2, 3, 5), 3, 7)):
        states.BUCKETS, core._poll = buckets, poll
        try:
            own = ask(core, 3, K, rows)
        finally:
            states.BUCKETS = usual
        found[how] = own["tokens"].tolist() == case["expected"]["tokens"]
        if found[how]:
            gaps = [np.abs(own[key] - np.array(case["expected"][key])).max() for key in OUTPUTS[1:]]
            found[how + " gap"] = float(max(gaps))
    scored = core.score(case["prompts"][:1], [[case["prompts"][0][:9]]])[0][0]
    found["score gap"] = float(np.abs(scored - np.array(case["score"])).max())
    if not REHEARSED:  # plain PyTorch's products do depend on their company
        half = GpuEngine(path, dtype="bfloat16", device=device(), ops=OPS)
        first = ask(half, 1, [23], None, stop_tokens=[])
        for rows in (1, 5):
            again = ask(half, 1, [3], rows, stop_tokens=[])
            same = [(again[key] == first[key][: len(again[key])]).all() for key in OUTPUTS]
            found[f"bits of {rows} rows"] = bool(all(same))
        if case["fp8"]:
            small = GpuEngine(path, dtype="bfloat16", cache="fp8", device=device(), ops=OPS)
            eight = ask(small, 1, [23], None, stop_tokens=[])
            found["fp8 finite"] = bool(np.isfinite(eight["logprobs"]).all())
            found["fp8 same tokens"] = float((eight["tokens"] == first["tokens"]).mean())
    bad = [k for k, v in found.items() if v is False or (k.endswith("gap") and v > 1e-3)]
    return {"ok": not bad, "bad": bad, **found}
