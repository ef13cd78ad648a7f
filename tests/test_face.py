"""The public face: what loads at first use is what type checkers see."""

from __future__ import annotations

import ast
import importlib
import inspect
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import t2fast

FUNCTIONS = {name: f for name in t2fast.__all__ if inspect.isfunction(f := getattr(t2fast, name))}


def test_what_loads_at_first_use_is_what_type_checkers_see() -> None:
    tree = ast.parse(Path(t2fast.__file__).read_text(encoding="utf-8"))
    checked = next(node for node in tree.body if isinstance(node, ast.If))
    assert ast.unparse(checked.test) == "TYPE_CHECKING"
    seen = {}
    for node in checked.body:
        assert isinstance(node, ast.ImportFrom)
        assert node.module is not None
        seen[node.module] = tuple(alias.name for alias in node.names)
        assert all(alias.asname == alias.name for alias in node.names)  # otherwise not public under strict
    assert seen.pop("t2fast") == tuple(t2fast._ROOMS)
    assert seen == {f"t2fast.{room}": names for room, names in t2fast._ROOMS.items() if names}


def test_every_name_is_its_rooms() -> None:
    for room, names in t2fast._ROOMS.items():
        module = importlib.import_module(f"t2fast.{room}")
        assert getattr(t2fast, room) is module
        assert set(names) <= set(module.__all__)
        assert all(getattr(t2fast, name) is getattr(module, name) for name in names)
    assert set(t2fast.__all__) <= set(dir(t2fast))


def test_no_room_imports_through_the_face() -> None:
    """The import contracts cannot tell `from t2fast import plan` from `from t2fast import _core`."""
    package = Path(t2fast.__file__).parent
    public = set(t2fast.__all__) - {path.stem for path in package.iterdir()}
    assert "plan" in public
    # Every result has `.report()`, while reports know all results.
    for path in set(package.rglob("*.py")) - {package / "charts" / "drawn.py"}:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                # Also of a room without `as`, which binds the face.
                bound = {alias.name.split(".")[0] for alias in node.names if alias.asname in (None, "t2fast")}
                assert "t2fast" not in bound | {alias.name for alias in node.names}, path
            if (
                isinstance(node, ast.ImportFrom)
                and node.module == "t2fast"
                and path != package / "__init__.py"
            ):
                assert not public & {alias.name for alias in node.names}, path


def test_the_face_loads_no_room_until_it_is_used() -> None:
    code = "import sys, t2fast; print(*(name for name in sys.modules if name.startswith('t2fast.')))"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert loaded.split() == ["t2fast._core"]


def test_a_room_is_there_without_being_imported() -> None:
    """In a process of its own: any import of a room would leave it on the package."""
    code = (
        "import t2fast; print(t2fast.decode.load.__name__, t2fast.tasks.__name__, t2fast.fit_loss.__name__)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.split() == ["load", "t2fast.tasks", "fit_loss"]


def _public_functions() -> dict[str, Callable[..., Any]]:
    """Of the face and of every room, methods of public classes among them."""
    found = dict(FUNCTIONS)
    for room in t2fast._ROOMS:
        for name in (module := getattr(t2fast, room)).__all__:
            thing = getattr(module, name)
            if inspect.isfunction(thing):
                found[f"{room}.{name}"] = thing
            elif inspect.isclass(thing) and thing.__module__.startswith("t2fast"):
                methods = inspect.getmembers(thing, inspect.isfunction)
                found |= {f"{room}.{name}.{method}": f for method, f in methods if not method.startswith("_")}
    return found


def test_every_argument_has_a_name_that_help_shows() -> None:
    for name, function in _public_functions().items():
        kinds = {parameter.kind for parameter in inspect.signature(function).parameters.values()}
        assert inspect.Parameter.VAR_KEYWORD not in kinds, name
    assert {"target", "max_k", "latency"} <= inspect.signature(t2fast.choose).parameters.keys()


SAID = r"takes|is called|must be a number|made of|a table is a path|No such file|alone"


@pytest.mark.parametrize("name", [name for name, f in FUNCTIONS.items() if inspect.signature(f).parameters])
def test_what_is_given_in_a_wrong_kind_is_refused_in_words(name: str) -> None:
    """By a `TypeError` that says what is taken; by a `ValueError` where that is numbers."""
    parameters = inspect.signature(FUNCTIONS[name]).parameters.values()
    first = next(iter(parameters))
    needed = [p for p in parameters if p.default is p.empty and p.kind is not p.VAR_POSITIONAL]
    wanted = str(first.annotation)
    losses = t2fast.read_losses({"n_params": [1e8], "n_tokens": [1e9], "loss": [3.0]})
    takes_losses = wanted in ("Table", "Forecastable", "Part", "Losses")
    for wrong in ("nowhere", None, object(), *([] if takes_losses else [losses])):
        kind: type[Exception] = ValueError if "ArrayLike" in wanted and "Counts" not in wanted else TypeError
        if wrong == "nowhere":
            kind = {"TableSource": FileNotFoundError, "str": ValueError}.get(wanted, kind)
        with pytest.raises(kind, match=SAID):
            FUNCTIONS[name](*[wrong] * max(1, len(needed)))
