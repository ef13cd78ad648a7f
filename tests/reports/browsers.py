"""The browser that pages are tested in."""

from __future__ import annotations

import importlib.util
import os
import shutil

import pytest

NEED = "T2FAST_NEED_BROWSER"
"""Where it is set, a browser that lacks is a failure: on machines whose work it is to test pages."""


def chromium() -> str:
    """The path of a Chromium for playwright. Where one lacks a test is skipped, or fails by `NEED`."""
    found = [
        os.environ.get("CHROMIUM"),
        *map(shutil.which, ("chromium", "chromium-browser", "google-chrome")),
    ]
    path = next(filter(None, found), None)
    if path is not None and importlib.util.find_spec("playwright") is not None:
        return path
    lacking = (
        "playwright, which drives the browser" if path else "a Chromium: install it, or name one by CHROMIUM"
    )
    if os.environ.get(NEED):
        pytest.fail(f"needs {lacking} ({NEED} is set)")
    pytest.skip(f"needs {lacking}")
