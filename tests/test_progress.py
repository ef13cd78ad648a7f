"""What is said of long work: how long it will take, once, before it does."""

from __future__ import annotations

import re
from datetime import datetime

import pytest
from t2fast import progress
from t2fast.progress import Bar, duration, track


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.4, "0 s"),
        (89, "89 s"),
        (90, "2 min"),
        (5399, "1 h 30 min"),
        (7500, "2 h 05 min"),
        (260000, "3 days"),
    ],
)
def test_a_time_reads_as_a_person_says_it(seconds: float, words: str) -> None:
    assert duration(seconds) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (3000, "at about 23:20"),
        (6000, "tomorrow at about 00:10"),
        (91800, "on 2027-01-01 at about 00:00"),
    ],
)
def test_the_end_of_work_has_its_day_where_that_is_another(seconds: float, words: str) -> None:
    assert progress._when(datetime(2026, 12, 30, 22, 30), seconds) == words


def test_long_work_says_once_how_long_it_takes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "_LOOK", 0.0)
    monkeypatch.setattr(progress, "_LONG", 0.0)
    assert list(track(range(9), "forecasts", 9, None)) == list(range(9))
    said = capsys.readouterr().err
    words = r"forecasts: about 0 s to go, by the first 0 s: done (tomorrow )?at about \d\d:\d\d\n"
    assert re.fullmatch(words, said)
    assert list(track(range(9), "forecasts", 9, False)) == list(range(9))
    assert capsys.readouterr().err == ""


def test_it_goes_by_what_was_done_now(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = iter([0.0, 0.0, 2.0, 4.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock, 99.0))
    bar = Bar(1000, None, "samples", done=600)
    with bar:
        bar.advance(10)  # too early to say
        bar.advance(10)  # 20 in 4 s, and 380 are left
    assert "samples: about 76 s to go, by the first 4 s" in capsys.readouterr().err


def test_time_counts_from_where_the_work_begins(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = iter([0.0, 0.0, 50.0, 54.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock, 99.0))
    with Bar(1000, None, "steps") as bar:
        bar.begin(500)  # after 50 s of getting ready, and 499 that were kept
        bar.advance(25)
    assert "steps: about 76 s to go, by the first 4 s" in capsys.readouterr().err


def test_short_work_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(track(range(3), "forecasts", 3, None)) == [0, 1, 2]
    assert capsys.readouterr().err == ""
