"""How far logits agree with transformers': every family, format and quantised type, on small random models.

    python benches/agreement.py

Prints a table of the largest difference in float32 over 60 tokens, relative to the largest logit. The models
are those of the tests; quantised ones hold random blocks, whose values the `gguf` package reads for the peer.
Needs the extra `decode-test`.
"""

from __future__ import annotations

import sys
import tempfile
import warnings
from pathlib import Path

import numpy as np
import t2fast.decode

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "decode"))
import decode_models as models
import torch
from gguf_models import write_gguf
from test_decode_families import quantised
from test_decode_files import HALVES

TOKENS = np.random.default_rng(0).integers(3, 130, 60).tolist()


def main() -> None:
    """Print the table."""
    print("| model | format | weights | largest difference |\n| --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        for name in (*models.FOLDERS, *models.MORE):
            path = models.write_folder(name, root / name)
            dtype = next((kind for kind in ("bfloat16", "float16") if kind in name), "float32")
            row(name, "safetensors", dtype, path, models.transformers_model(path), TOKENS)
        for name, (arch, _, kind) in models.GGUFS.items():
            path = root / f"{name}.gguf"
            row(arch, "GGUF", kind.name, path, write_gguf(name, path), TOKENS)
        for name, (arch, _) in models.MORE.items():
            if arch is not None:
                path = root / f"{name}.gguf"
                row(name, "GGUF", "F32", path, write_gguf(f"{name}.gguf", path), TOKENS)
        for kinds in (*([kind] for kind in HALVES), ["Q4_0", "Q6_K"], ["Q4_K", "Q6_K"]):
            path = root / f"{'-'.join(kinds)}.gguf"
            peer = quantised(kinds, path)
            row("llama", "GGUF", " and ".join(kinds), path, peer, [t % 64 for t in TOKENS])


def row(name: str, form: str, weights: str, path: Path, peer: torch.nn.Module, tokens: list[int]) -> None:
    """Print one model's row."""
    with torch.no_grad():
        expected = peer(torch.tensor([tokens])).logits[0].float().numpy()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = t2fast.decode.load(path, dtype="float32").core.logits(tokens)
    worst = np.abs(found - expected).max() / np.abs(expected).max()
    print(f"| {name} | {form} | {weights} | {worst:.1e} |", flush=True)


if __name__ == "__main__":
    main()
