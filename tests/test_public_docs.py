"""What the public face says of itself: arguments, what comes back, what is refused, what intervals mean."""

import ast
import importlib
import inspect
from collections.abc import Callable, Iterator
from typing import Any

import pytest

ROOMS = [
    "charts",
    "choices",
    "comparisons",
    "costs",
    "decode",
    "designs",
    "estimators",
    "fits",
    "laws",
    "plans",
    "readers",
    "reports",
    "runs",
    "tables",
    "tasks",
    "testbed",
    "training",
    "validation",
]
LAWS = ("fit_chinchilla", "fit_loss", "fit_accuracy", "fit_counts", "fit_direct", "fit_forecast")


def _functions() -> Iterator[Callable[..., Any]]:
    seen = set()
    for room in ("t2fast", *(f"t2fast.{room}" for room in ROOMS)):
        module = importlib.import_module(room)
        for name in module.__all__:
            thing = getattr(module, name)
            if inspect.isfunction(thing) and thing not in seen:
                seen.add(thing)
                yield thing
    from t2fast import ForecastLaw, Law
    from t2fast.decode import Engine

    yield from (Engine.sample, Engine.score, Law.predict, Law.interval, ForecastLaw.predict)
    yield ForecastLaw.interval


@pytest.mark.parametrize("function", list(_functions()), ids=lambda f: f"{f.__module__}.{f.__qualname__}")
def test_public_functions_say_what_they_take_give_and_refuse(function: Callable[..., Any]) -> None:
    text = inspect.getdoc(function) or ""
    parameters = [name for name in inspect.signature(function).parameters if name != "self"]
    if parameters:
        assert "\nArgs:\n" in text
        listed = text.split("\nArgs:\n")[1].split("\n\n")[0]
        absent = [name for name in parameters if f"\n    {name}: " not in f"\n{listed}"]
        assert not absent
    assert "\nReturns:\n" in text
    tree = ast.parse(inspect.cleandoc("\n" + inspect.getsource(function)))
    if any(isinstance(node, ast.Raise) for node in ast.walk(tree)):
        assert "\nRaises:\n" in text


@pytest.mark.parametrize("law", LAWS)
def test_every_fit_says_what_its_intervals_mean_and_do_not_mean(law: str) -> None:
    import t2fast

    text = inspect.getdoc(getattr(t2fast, law)) or ""
    assert "\n\nWhat the intervals mean: " in text
