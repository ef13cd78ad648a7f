"""What the documentation shows is what happens: its commands are run, and their output compared.

In `console` blocks lines after `$` are run and their output follows; `python` blocks are run in between. In
`sh` blocks, of what cannot be run here, each line must be a command that the parser takes.
`python tests/test_docs.py` writes the output anew.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
from t2fast.cli.main import main, parser_of_all

ROOT = Path(__file__).resolve().parents[1]
BLOCK = re.compile(r"^```(?P<kind>console|python)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
TEXTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
PAGES = [path for path in TEXTS if BLOCK.search(path.read_text("utf-8"))]
SHELL = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NUMBER = re.compile(r"\d[\d,]*(?:\.\d+)?(?:e[+-]?\d+)?")


def as_it_happens(text: str) -> str:
    """The page with the output that its blocks have now, run in the working folder."""
    names: dict[str, object] = {"__name__": "page"}

    def block(found: re.Match[str]) -> str:
        if found["kind"] == "python":
            with contextlib.redirect_stdout(io.StringIO()):
                exec(compile(found["text"], "page", "exec"), names)
            return found[0]
        lines = [line[2:] for line in found["text"].splitlines() if line.startswith("$ ")]
        return "```console\n" + "".join(f"$ {line}\n{output(line)}" for line in lines) + "```"

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return BLOCK.sub(block, text)


def output(line: str) -> str:
    program, *arguments = shlex.split(line)
    assert program == "t2fast"
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        assert main(arguments) == 0, said.getvalue()
    return "".join(f"{one.rstrip()}\n" for one in said.getvalue().splitlines())


@contextlib.contextmanager
def somewhere() -> Iterator[None]:
    before = os.getcwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            yield
        finally:
            os.chdir(before)


def parts(text: str) -> tuple[list[str], list[str]]:
    return NUMBER.sub("#", text).split(), NUMBER.findall(text)


def alike(shown: str, found: str) -> bool:
    """Whether two numbers agree to 1%, or to a unit of the last digit shown: processors round differently."""
    x, y = (float(number.replace(",", "")) for number in (shown, found))
    decimals = len(shown.partition("e")[0].partition(".")[2])
    return abs(x - y) <= max(0.01 * abs(x), 1.01 * 10.0**-decimals)


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_what_a_page_shows_is_what_happens(page: Path) -> None:
    text = page.read_text("utf-8")
    with somewhere():
        now = as_it_happens(text)
    (words, numbers), (words_now, numbers_now) = parts(text), parts(now)
    assert words == words_now
    differing = [pair for pair in zip(numbers, numbers_now, strict=True) if not alike(*pair)]
    assert not differing


@pytest.mark.parametrize("page", TEXTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_commands_that_cannot_be_run_here_are_well_formed(page: Path) -> None:
    parser = parser_of_all()
    for block in SHELL.findall(page.read_text("utf-8")):
        for line in block.replace("\\\n", " ").splitlines():
            for command in re.split(r"&&|\|", line):
                words = shlex.split(command, comments=True)
                if words[:1] == ["t2fast"] and "--list-tasks" not in words:  # which ends at once
                    parser.parse_args(words[1:])


if __name__ == "__main__":
    for path in PAGES:
        with somewhere():
            path.write_text(as_it_happens(path.read_text("utf-8")), "utf-8")
