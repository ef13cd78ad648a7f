"""What the documentation shows is what happens: its commands are run, and their output compared.

In `console` blocks lines after `$` are run and their output follows; `python` blocks are run in between.
Blocks without a name that begin with `$` are of published tables, and are compared where these are. The lines
of `sh` blocks, and of others without a name, are run on tables, results and a model made for them; those in
`shell_lines.NOT_HERE` are not, for the reason there, and must be commands that the parser takes.
`python tests/test_docs.py` writes the output of `console` blocks anew.
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
from shell_lines import NOT_HERE, in_place_of, prepare
from t2fast.cli.main import main, parser_of_all

ROOT = Path(__file__).resolve().parents[1]
BLOCK = re.compile(r"^```(?P<kind>console|python)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
TEXTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
README = TEXTS[0].read_text("utf-8")
PAGES = [path for path in TEXTS if BLOCK.search(path.read_text("utf-8"))]
FENCED = re.compile(r"^```(?P<kind>\w*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
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


@pytest.mark.parametrize("block", range(2))
def test_what_published_tables_show_is_what_happens(
    block: int, shared_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A block may end before the output does."""
    found = [text for kind, text in FENCED.findall(README) if not kind and text.startswith("$ ")]
    assert len(found) == 2
    command, _, shown = found[block].replace("\\\n", " ").partition("\n")
    monkeypatch.chdir(shared_data)
    now = output(f"{command[2:]} -q")
    (words, numbers), (words_now, numbers_now) = parts(shown), parts(now)
    assert words == words_now[: len(words)]
    assert not [pair for pair in zip(numbers, numbers_now, strict=False) if not alike(*pair)]


def lines_of(page: Path) -> list[str]:
    """The lines of a page's shell blocks, those that go on joined and without what is said beside them."""
    fenced = FENCED.findall(page.read_text("utf-8"))
    blocks = [text for kind, text in fenced if kind in ("", "sh") and not text.startswith("$ ")]
    lines = [line for block in blocks for line in re.sub(r"\\\n *", "", block).splitlines()]
    return [line.partition("  #")[0].rstrip() for line in lines]


@pytest.mark.parametrize("page", TEXTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_command_runs_or_says_why_it_cannot_here(page: Path, request: pytest.FixtureRequest) -> None:
    lines = lines_of(page)
    for line in lines:
        if line in NOT_HERE:
            for command in re.split(r"&&|\|", line):
                words = shlex.split(command)
                if words[:1] == ["t2fast"]:
                    parser_of_all().parse_args(words[1:])
    here = [line for line in lines if line not in NOT_HERE]
    if not here:
        return
    with somewhere():
        prepare(Path.cwd(), request.getfixturevalue("tmp_path_factory"))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for line in here:
                with contextlib.suppress(SystemExit):  # of --list-tasks
                    output(in_place_of(line))


def test_no_reason_is_of_a_line_that_is_gone() -> None:
    assert not NOT_HERE.keys() - {line for page in TEXTS for line in lines_of(page)}


if __name__ == "__main__":
    for path in PAGES:
        with somewhere():
            path.write_text(as_it_happens(path.read_text("utf-8")), "utf-8")
