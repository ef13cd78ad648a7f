"""Kernels run in Triton's interpreter, on CPU tensors: no GPU is needed."""

from __future__ import annotations

import os
from importlib.util import find_spec

MISSING = [name for name in ("torch", "triton") if find_spec(name) is None]
if MISSING:
    collect_ignore_glob = ["test_*.py"]
else:
    # Read when a kernel is declared, so before the kernels are imported.
    os.environ["TRITON_INTERPRET"] = "1"
    import old_triton  # noqa: F401 (lets old interpreters work with new numpy)


def pytest_report_header() -> str | None:
    """Says why the tests of the kernels are not there, where they are not."""
    return f"tests/kernels is left out: no {', '.join(MISSING)} (pip install '.[gpu]')" if MISSING else None
