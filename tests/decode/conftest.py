"""Fixtures: every small model, written once a session."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

MISSING = [name for name in ("torch", "transformers", "gguf", "tokenizers") if find_spec(name) is None]
if MISSING:
    collect_ignore_glob = ["test_*.py"]
os.environ["TRITON_INTERPRET"] = "1"  # read when Triton is first imported, which transformers may do
if find_spec("triton") is not None:
    sys.path.append(str(Path(__file__).parents[1] / "kernels"))
    import old_triton  # noqa: F401 (lets old interpreters work with new numpy)


def pytest_report_header() -> str | None:
    """Says why the tests of the engine are not there, where they are not."""
    if not MISSING:
        return None
    return f"tests/decode is left out: no {', '.join(MISSING)} (pip install '.[decode-test]')"


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[Path, Any]]:
    """``model(name)``: path of a small model and, if transformers knows its family, its own model."""
    import decode_models as models
    from gguf_models import write_gguf

    root = tmp_path_factory.mktemp("models")
    made: dict[str, tuple[Path, Any]] = {}

    def get(name: str) -> tuple[Path, Any]:
        if name not in made:
            if name in models.FOLDERS or name in models.MORE:
                path = models.write_folder(name, root / name)
                made[name] = path, models.transformers_model(path)
            elif name in models.GGUFS or name.endswith(".gguf"):
                path = root / f"{name.removesuffix('.gguf')}.gguf"
                made[name] = path, write_gguf(name, path)
            else:
                assert name == "open-lm"
                made[name] = models.write_open_lm(root / name), None
        return made[name]

    return get


@pytest.fixture(scope="session")
def smollm2() -> Path:
    """SmolLM2-135M-Instruct, Q4_1."""
    import decode_models as models

    return models.smollm2()
