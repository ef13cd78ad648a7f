"""The package without what it imports: on a machine with a GPU there may be torch, Triton and numpy alone."""

from __future__ import annotations

import importlib.util
import os
import sys
import types
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CARRIED = ROOT / ".gpu_check"
"""What `pack` made; ignored by git."""
REHEARSED = bool(os.environ.get("GPU_CHECK_REHEARSE"))


def prepare() -> None:
    """Let `t2fast` and `t2fast.decode` be folders of modules: their own `__init__` wants polars and rich."""
    folder = package()
    places = {"t2fast": [folder, CARRIED / "core"], "t2fast.decode": [folder / "decode"]}
    for name, paths in places.items():
        module = types.ModuleType(name)
        module.__path__ = [str(path) for path in paths]
        sys.modules[name] = module


def package() -> Path:
    """The installed package, or the repository's, whose compiled core `pack` has put beside it."""
    spec = None if "t2fast" in sys.modules else importlib.util.find_spec("t2fast")
    found = spec.submodule_search_locations if spec else None
    return Path(found[0]) if found else ROOT / "python" / "t2fast"
