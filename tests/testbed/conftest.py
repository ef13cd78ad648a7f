"""The tiny testbed, made once."""

from __future__ import annotations

from importlib.util import find_spec

import pytest
from t2fast import testbed
from tiny_bed import TINY

if find_spec("torch") is None:
    collect_ignore_glob = ["test_*.py"]


@pytest.fixture(scope="session")
def done(tmp_path_factory: pytest.TempPathFactory) -> testbed.Testbed:
    return testbed.run_testbed(
        testbed.parse_settings(TINY), tmp_path_factory.mktemp("bed") / "bed", workers=1
    )
