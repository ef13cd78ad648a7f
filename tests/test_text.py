"""Numbers as people read them."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from t2fast.text import chance, columns, plain, ratio, samples


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


def _words(text: str) -> list[str]:
    return text.split()


_CELL = st.text("abc019.,%", max_size=9)
_LABEL = st.lists(st.text("abcdef", min_size=1, max_size=9), min_size=1, max_size=4).map(" ".join)


@given(st.data(), st.integers(1, 6), st.integers(1, 5), st.integers(24, 90))
def test_no_width_cuts_a_table(data: st.DataObject, across: int, down: int, width: int) -> None:
    headers = ["what", *data.draw(st.lists(_LABEL, min_size=across, max_size=across))]
    table = columns(*headers, left=("what",))
    rows = [[data.draw(_LABEL), *(data.draw(_CELL) for _ in range(across))] for _ in range(down)]
    for row in rows:
        table.add_row(*row)
    shown = plain(table, width)
    assert all(len(line) <= width for line in shown.splitlines())
    # Every cell is there whole, and as often as it was put in unless all rows say the same.
    there = Counter(_words(shown))
    for word, times in Counter(word for row in rows for cell in row for word in _words(cell)).items():
        assert there[word] >= (times if down == 1 else 1)


def test_headers_break_before_words_and_words_before_the_table_is_stacked() -> None:
    table = columns("", "plan", "Chinchilla (20 tokens/parameter)", left=("",))
    table.add_row("parameters N", "1.73B", "4.35B")
    table.add_row("training", "7,611 USD (76%)", "3,983 USD (40%)")
    assert plain(table, 63).splitlines()[1].split() == ["parameters", "N", "1.73B", "4.35B"]
    assert plain(table, 50).splitlines() == [
        "                                  Chinchilla (20",
        "                         plan  tokens/parameter)",
        "parameters N            1.73B              4.35B",
        "training      7,611 USD (76%)    3,983 USD (40%)",
    ]
    assert plain(table, 46).splitlines() == [
        "                                Chinchilla (20",
        "                       plan  tokens/parameter)",
        "parameters            1.73B              4.35B",
        "N",
        "training    7,611 USD (76%)    3,983 USD (40%)",
    ]
    assert plain(table, 40).splitlines() == [
        "parameters N",
        "  plan 1.73B",
        "  Chinchilla (20 tokens/parameter) 4.35B",
        "",
        "training",
        "  plan 7,611 USD (76%)",
        "  Chinchilla (20 tokens/parameter) 3,983",
        "USD (40%)",
    ]
