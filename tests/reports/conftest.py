"""A browser for the tests of pages."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from typing import Any

import pytest


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    found = [
        os.environ.get("CHROMIUM"),
        *map(shutil.which, ("chromium", "chromium-browser", "google-chrome")),
    ]
    path = next(filter(None, found), None)
    if path is None:
        pytest.skip("needs a Chromium: install Debian's chromium, or name one by CHROMIUM")
    sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright, which drives the browser")
    with sync_api.sync_playwright() as playwright:
        # Its sandbox does not work as root, and the page is our own; containers have little shared memory.
        browser = playwright.chromium.launch(
            executable_path=path, args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        yield browser
        browser.close()
