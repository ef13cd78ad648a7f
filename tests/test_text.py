"""Numbers as people read them."""

from __future__ import annotations

import pytest
from t2fast.text import chance, ratio, samples


@pytest.mark.parametrize(
    ("value", "shown"), [(2.72e289, "2.72e+289"), (1e12, "1e+12"), (999_999.0, "999,999"), (12.0, "12")]
)
def test_digits_are_written_out_while_they_can_be_counted(value: float, shown: str) -> None:
    assert samples(value) == shown
    assert ratio(value) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.46942, "0.4694"), (0.001, "0.0010"), (3.21e-5, "3.2e-05"), (0.00052, "0.00052"), (0.0, "0.0000")],
)
def test_a_small_pass_at_k_keeps_its_digits(value: float, shown: str) -> None:
    assert chance(value) == shown
