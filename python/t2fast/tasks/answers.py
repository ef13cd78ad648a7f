"""Rules that compare a sampled text with reference answers. A rule sees text alone and executes nothing."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from fractions import Fraction

from t2fast.tasks.task import Problem

# A sign counts where it cannot be a minus between two numbers; commas count where they group thousands.
_NUMBER = re.compile(r"(?<![\w.])-?(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?|(?<![\w.])-?\.\d+")
_WORD_GOES_ON = re.compile(r"\w|['’-]\w|[.,]\d")
_EDGES = " \t\r\n.,;:!?\"'`*()[]“”‘’"


def number(text: str) -> Fraction | None:
    """The number that a text ends on, exactly: the first after `####` if that is there, else the last.

    Units and signs of currency around it do not matter; 1,234 is 1234.
    """
    _, marker, marked = text.rpartition("####")
    found = _NUMBER.findall(marked if marker else text)
    if not found:
        return None
    return Fraction((found[0] if marker else found[-1]).replace(",", ""))


def normalised(text: str) -> str:
    """The first line without case, outer punctuation and repeated blanks, in Unicode's compatible form."""
    lines = unicodedata.normalize("NFKC", text).strip().splitlines()
    return " ".join(lines[0].casefold().split()).strip(_EDGES) if lines else ""


def exact(problem: Problem, text: str) -> bool:
    """The text is an answer, up to outer blanks."""
    return text.strip() in {answer.strip() for answer in problem.answers}


def same_text(problem: Problem, text: str) -> bool:
    """The text's first line is an answer, up to case, outer punctuation and blanks."""
    found = normalised(text)
    return bool(found) and found in {normalised(answer) for answer in problem.answers}


def begins(problem: Problem, text: str) -> bool:
    """The text begins with an answer, and the answer's last word or number ends there.

    What the likelihood of an answer is the probability of, but for the end of the word.
    """
    text = text.lstrip()
    for answer in (answer.strip() for answer in problem.answers):
        if answer and text.startswith(answer) and not _WORD_GOES_ON.match(text, len(answer)):
            return True
    return False


def same_number(problem: Problem, text: str) -> bool:
    """The number that the text ends on is that of an answer; see `number`."""
    found = number(text)
    return found is not None and found in {number(answer) for answer in problem.answers}


RULES: dict[str, Callable[[Problem, str], bool]] = {
    "exact": exact,
    "text": same_text,
    "begins": begins,
    "number": same_number,
}
"""Rules by name."""
