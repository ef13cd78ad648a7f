"""A browser that is missing is said, and never passed over where it is needed."""

from __future__ import annotations

import sys

import pytest
from browsers import NEED, chromium


@pytest.mark.parametrize("lacking", ["a Chromium: install it", "playwright, which drives"])
def test_without_a_browser_tests_are_skipped_and_fail_where_it_is_needed(
    lacking: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CHROMIUM", raising=False)
    monkeypatch.setenv("PATH", "")
    if lacking.startswith("playwright"):
        monkeypatch.setenv("CHROMIUM", "/somewhere/chromium")
        monkeypatch.setattr(sys, "path", [])
        monkeypatch.delitem(sys.modules, "playwright", raising=False)
    monkeypatch.delenv(NEED, raising=False)
    with pytest.raises(pytest.skip.Exception, match=f"needs {lacking}"):
        chromium()
    monkeypatch.setenv(NEED, "1")
    with pytest.raises(pytest.fail.Exception, match=f"needs {lacking}"):
        chromium()
