"""A server of each test's own, and pauses that are short."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from speaking import Speaking, speaking
from t2fast.decode.endpoint import pacing


@pytest.fixture
def server() -> Iterator[Speaking]:
    with speaking() as one:
        yield one


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pacing, "_FIRST", 0.01)
