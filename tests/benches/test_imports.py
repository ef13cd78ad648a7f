"""The benches import one way: no file of theirs another that imports it, however far round."""

from __future__ import annotations

import ast
from graphlib import TopologicalSorter
from pathlib import Path

BENCHES = Path(__file__).parents[2] / "benches"


def test_benches_have_no_circles() -> None:
    # Benches run with their own folder on the path, those of gpu_check from the root: both names count.
    files = {
        path.relative_to(BENCHES).with_suffix("").as_posix().replace("/", "."): path
        for path in BENCHES.rglob("*.py")
        if path.name != "__init__.py"
    }
    edges: dict[str, set[str]] = {}
    for name, path in files.items():
        found: set[str] = set()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                home = ["benches", *name.split(".")][: -node.level] if node.level else []
                base = ".".join((*home, *filter(None, [node.module])))
                found |= {base, *(f"{base}.{alias.name}" for alias in node.names)}
        edges[name] = {module.removeprefix("benches.") for module in found} & files.keys() - {name}
    assert sum(map(len, edges.values())) > 20
    list(TopologicalSorter(edges).static_order())
