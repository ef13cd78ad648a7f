"""The modules of the Rust crates point one way: no module uses another that uses it, however far round."""

import re
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
USE = re.compile(r"\bcrate::([a-z_0-9]+)(?:::([a-z_0-9]+))?(?:::\{([^}]*)\})?")


def modules(crate: Path) -> dict[str, str]:
    """Module -> its source, tests left out. A folder's mod.rs is the folder's own module."""
    found = {}
    for path in sorted((crate / "src").rglob("*.rs")):
        parts = path.relative_to(crate / "src").with_suffix("").parts
        parts = parts[:-1] if parts[-1] == "mod" else parts
        if parts in ((), ("lib",)) or parts[-1] == "tests":
            continue
        found["::".join(parts)] = path.read_text(encoding="utf-8").split("#[cfg(test)]")[0]
    return found


def graph(crate: Path) -> dict[str, set[str]]:
    sources = modules(crate)
    edges: dict[str, set[str]] = {name: set() for name in sources}
    for name, text in sources.items():
        for first, second, braces in USE.findall(text):
            inner = [second] if second else [part.split("::")[0].strip() for part in braces.split(",")]
            targets = {f"{first}::{part}" for part in inner} & set(sources)
            edges[name] |= targets or ({first} & set(sources))
    return {name: targets - {name} for name, targets in edges.items()}


@pytest.mark.parametrize("crate", ["core", "decode", "python"])
def test_modules_have_no_circles(crate):
    edges = graph(ROOT / "rust" / crate)
    assert len(edges) > 5
    try:
        list(TopologicalSorter(edges).static_order())
    except CycleError as error:
        pytest.fail(f"rust/{crate}: {' -> '.join(error.args[1])}")


def test_the_core_knows_no_other_crate():
    for name, text in modules(ROOT / "rust" / "core").items():
        assert not re.search(r"\b(pyo3|numpy|t2fast_decode)\b", text), name
