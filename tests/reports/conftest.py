"""A browser for the tests of pages, and counts to show on them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import t2fast
from browsers import chromium


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    path = chromium()
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        # Its sandbox does not work as root, and the page is our own; containers have little shared memory.
        browser = playwright.chromium.launch(
            executable_path=path, args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def counts() -> t2fast.Counts:
    law = t2fast.default_law()
    return t2fast.simulate_counts(
        law, [2e8, 1e9, 5e9], [4e9, 1e10, 3e10, 2e11], problems=40, samples=40, seed=3
    )
