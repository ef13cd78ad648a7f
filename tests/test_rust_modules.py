"""The modules of the Rust crates point one way: no module uses another that uses it, however far round.

A module is a file. It uses another where a `use` or a path in its code, outside tests, names something there:
by `crate::`, `super::`, `self::` or the name of a child. Declaring a child with `mod` uses nothing; a parent
that also names what is in the child, while the child names what is in the parent, is a circle like any other.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
Name = tuple[str, ...]  # ("plan", "line") is plan::line, () the crate itself

TOKEN = re.compile(
    r"""//[^\n]*|/\*.*?\*/                                  # comments
    |b?r(?P<fence>\#*)".*?"(?P=fence)|b?"(?:\\.|[^"\\])*"   # strings
    |b?'(?:\\[^']+|[^'\\])'|'\w+                            # characters, lifetimes
    |(?P<code>\w+|::|[^\s\w])""",
    re.DOTALL | re.VERBOSE,
)
CLOSING = {"{": "}", "(": ")", "[": "]"}


def tokens(source: str) -> list[str]:
    """What the compiler sees: no comments, no strings."""
    return [found["code"] for found in TOKEN.finditer(source) if found["code"]]


def past(code: list[str], at: int) -> int:
    """The place behind the bracket that opens at `at`."""
    depth = 0
    while True:
        depth += (code[at] in CLOSING) - (code[at] in CLOSING.values())
        at += 1
        if depth == 0:
            return at


def without_tests(code: list[str]) -> tuple[list[str], set[str]]:
    """The code less what is under #[cfg(test)], and the files that are there for tests alone."""
    kept: list[str] = []
    files = set()
    at = 0
    while at < len(code):
        if code[at : at + 4] != ["#", "[", "cfg", "("]:
            kept.append(code[at])
            at += 1
            continue
        end = past(code, at + 1)
        condition = code[at + 4 : end]
        if "test" not in condition or "not" in condition:
            kept += code[at:end]
            at = end
            continue
        while code[end] == "#":
            end = past(code, end + 1)
        item = end
        while code[end] not in (";", "{"):
            end = past(code, end) if code[end] in CLOSING else end + 1
        if code[end] == ";" and "mod" in code[item:end]:
            files.add(code[end - 1])
        at = past(code, end) if code[end] == "{" else end + 1
    return kept, files


def leaves(code: list[str], at: int) -> list[list[str]]:
    """The paths of the `use` tree that begins at `at`: a::{b, c::d} is a::b and a::c::d."""
    path: list[str] = []
    while code[at] not in (";", ",", "}"):
        if code[at] == "{":
            found = []
            end = past(code, at) - 1
            at += 1
            while at < end:
                found += [path + leaf for leaf in leaves(code, at)]
                while at < end and code[at] != ",":
                    at = past(code, at) if code[at] == "{" else at + 1
                at += 1
            return found
        if code[at] == "as":
            break
        if code[at] not in ("::", "*"):
            path.append(code[at])
        at += 1
    return [path]


def paths(code: list[str]) -> Iterator[tuple[Name, list[str]]]:
    """The paths in code, each with the inline module that it stands in."""
    blocks: list[str] = []  # names of inline modules, "" for any other block
    at = 0
    while at < len(code):
        inline = tuple(filter(None, blocks))
        word = code[at]
        if word == "mod" and code[at + 2] == "{":
            blocks.append(code[at + 1])
            at += 3
        elif word == "use" and code[at + 1] != "<":
            yield from ((inline, path) for path in leaves(code, at + 1))
            while code[at] != ";":
                at += 1
        elif word in "{}":
            blocks.append("") if word == "{" else blocks.pop()
            at += 1
        elif word == "pub" and code[at + 1] == "(":
            at = past(code, at + 1)
        elif re.match(r"\w", word) and code[at + 1] == "::" and code[at - 1] not in ("::", "."):
            path = [word]
            at += 1
            while code[at] == "::" and re.match(r"\w", code[at + 1]):
                path.append(code[at + 1])
                at += 2
            yield inline, path
        else:
            at += 1


def modules(crate: Path) -> dict[Name, list[str]]:
    """The code of every module, tests left out."""
    found: dict[Name, list[str]] = {}
    for_tests = set()
    for file in sorted((crate / "src").rglob("*.rs")):
        name = file.relative_to(crate / "src").with_suffix("").parts
        name = name[:-1] if name[-1] in ("mod", "lib") else name
        found[name], names = without_tests(tokens(file.read_text(encoding="utf-8")))
        for_tests |= {(*name, test) for test in names}
    return {name: code for name, code in found.items() if not any(name[: len(t)] == t for t in for_tests)}


def graph(crate: Path) -> dict[Name, set[Name]]:
    """Module -> the modules that it uses."""
    sources = modules(crate)
    edges: dict[Name, set[Name]] = {name: set() for name in sources}
    for name, code in sources.items():
        for inline, path in paths(code):
            scope = (*name, *inline)
            if path[0] == "crate":
                scope = ()
            elif path[0] == "super":
                scope = scope[:-1]
            elif path[0] != "self" and (*scope, path[0]) not in sources:
                continue
            rest = path[path[0] in ("crate", "super", "self") :]
            while rest[:1] == ["super"]:
                scope, rest = scope[:-1], rest[1:]
            target = (*scope, *rest)
            while target not in sources:
                target = target[:-1]
            edges[name] |= {target} - {name}
    return edges


def circle(crate: Path) -> str:
    """A circle of modules, or nothing."""
    try:
        TopologicalSorter(graph(crate)).prepare()
    except CycleError as error:
        return " <- ".join("::".join(("crate", *name)) for name in error.args[1])
    return ""


@pytest.mark.parametrize("crate", ["core", "decode", "python"])
def test_modules_have_no_circles(crate):
    assert len(graph(ROOT / "rust" / crate)) > 10
    assert circle(ROOT / "rust" / crate) == ""


# Beside `mod inner;` in room/mod.rs. The child always uses room::Outer.
PARENTS = {
    "a declaration is no use": ("", False),
    "use of a child": ("use inner::Thing;", True),
    "by self": ("use self::inner::Thing;", True),
    "by crate, in braces": ("use crate::{leaf::{Leaf, *}, room::{inner::Thing as Other}};", True),
    "a re-export": ("pub use inner::*;", True),
    "a path in code": ("fn f() -> f64 { 1.0 + inner::thing::<2>() }", True),
    "in a signature": ("fn f(x: &'static [inner::Thing; 3]) {}", True),
    "from an inline module": ("mod inline { fn f() { super::inner::thing() } }", True),
    "a long way round": ("fn f(_: crate::other::Other) {}", True),
    "in a macro": ("macro_rules! m { () => { $crate::room::inner::thing() } }", True),
    "in a test": ("#[cfg(test)] mod tests { use super::inner::Thing; }", False),
    "in a test's import": ("#[cfg(test)] #[allow(unused)] use inner::Thing;", False),
    "outside tests": ("#[cfg(not(test))] use inner::Thing;", True),
    "behind a test": ("#[cfg(test)] mod tests { fn f() {} } use inner::Thing;", True),
    "in a comment": ("// use inner::Thing; inner::thing()\n/* inner::thing() */", False),
    "in a string": ('const S: &str = "inner::thing()"; const C: char = \'"\'; // inner::thing()', False),
    "in a visibility": ("pub(in crate::room) struct Small;", False),
    "a namesake elsewhere": ("fn f() { x.inner::<3>(); leaf::inner::thing() }", False),
}
CHILDREN = {
    "super": "use super::Outer;",
    "crate": "fn f() -> crate::room::Outer { loop {} }",
    "glob": "use super::*;",
    "from a function": "fn f() { use super::{Outer}; }",
    "by way of itself": "use self::super::Outer;",
}


@pytest.mark.parametrize("child", CHILDREN)
@pytest.mark.parametrize("parent", PARENTS)
def test_planted_circles_are_found(parent, child, tmp_path):
    code, planted = PARENTS[parent]
    files = {
        "lib": "mod leaf; mod other; mod room; pub use room::Outer;",
        "leaf": "pub struct Leaf;",
        "other": "pub use crate::room::inner::Thing as Other;",
        "room/mod": f"mod inner; pub struct Outer; {code}",
        "room/inner": f"pub struct Thing; {CHILDREN[child]} use crate::leaf::Leaf;",
    }
    for name, source in files.items():
        file = tmp_path / "src" / f"{name}.rs"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(source, encoding="utf-8")
    assert bool(circle(tmp_path)) == planted


def test_a_crate_and_its_modules_can_be_a_circle_too(tmp_path):
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "lib.rs").write_text("mod a; pub struct Shared; pub use a::A;")
    (tmp_path / "src" / "a.rs").write_text("pub struct A(crate::Shared);")
    assert circle(tmp_path) in ("crate <- crate::a <- crate", "crate::a <- crate <- crate::a")


def test_the_core_knows_no_other_crate():
    for name, code in modules(ROOT / "rust" / "core").items():
        assert not {"pyo3", "numpy", "t2fast_decode"} & set(code), name
