"""The model that harnesses' tests share."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Llama of random weights."""
    from random_llama import write_llama

    return write_llama(tmp_path_factory.mktemp("model"))
