"""What a testbed is: sizes, budgets, tasks and the budgets of the closed loop, from one TOML file."""

from __future__ import annotations

import contextlib
import importlib
import json
import math
import re
from dataclasses import MISSING, asdict, dataclass, fields
from importlib import resources
from pathlib import Path
from typing import Any, Literal

from t2fast import atomic
from t2fast.compute import sample_flops
from t2fast.text import amount, nearest
from t2fast.training import Shape
from t2fast.training.objects import read_object

SETTINGS = "settings.json"
_GROWING = ("samples", "loop_seeds")
_WIDENING = ("sizes", "budgets", "overtrained_budgets", "repeated_budgets")
"""Numbers that may become larger in a folder that is there, and lists that may become longer."""
PRESETS = ("small", "full", "gpu")
"""Testbeds that come with the package."""


@dataclass(frozen=True)
class Settings:
    """A testbed.

    Attributes:
        family: of the models, as `t2fast.training.Shape` has it.
        sizes: width, layers and heads of each.
        context: tokens of a sequence.
        vocab: tokens of the tokenizer.
        corpus_tokens: how long the generated corpus is; a run that is longer reads it again.
        batch: most sequences of a step.
        least_steps: steps that every run has: shorter runs take smaller batches, by powers of two.
        lr: peak learning rate.
        budgets: training FLOPs, 6 N D, of the grid.
        tokens_per_param: least and most D/N of an ordinary checkpoint: at every budget, the sizes between.
        overtrained_budgets: budgets of checkpoints beside them, which are further from D = 20 N.
        overtrained_tokens_per_param: least and most D/N of those.
        repeated_budgets: of `budgets`, those whose checkpoints are trained from several seeds.
        repeats: how many.
        tasks: as `t2fast.tasks.load_task` names them.
        problems: of each task.
        samples: drawn of each problem.
        train_flops: C, of the loop: laws are fitted on budgets up to C/8, and plans made for C.
        inference_flops: FLOPs per token served, of the loop.
        loop_seeds: seeds from which a planned model is trained.
        device: ``cpu`` or ``cuda``, where models are trained and measured.
        tuned_tasks: of `tasks`, those on each of which every ordinary checkpoint is fine-tuned, beside.
        tuned_problems: other problems of such a task, to learn from.
        tuned_epochs: times that these are read.
        tuned_lr: learning rate of it, the same to the end.
    """

    family: str
    sizes: tuple[tuple[int, int, int], ...]
    context: int
    vocab: int
    corpus_tokens: float
    batch: int
    least_steps: int
    lr: float
    budgets: tuple[float, ...]
    tokens_per_param: tuple[float, float]
    overtrained_budgets: tuple[float, ...]
    overtrained_tokens_per_param: tuple[float, float]
    repeated_budgets: tuple[float, ...]
    repeats: int
    tasks: tuple[str, ...]
    problems: int
    samples: int
    train_flops: float
    inference_flops: float
    loop_seeds: int
    device: Literal["cpu", "cuda"] = "cpu"
    tuned_tasks: tuple[str, ...] = ()
    tuned_problems: int = 256
    tuned_epochs: int = 3
    tuned_lr: float = 2e-3

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.type in ("int", "float") and not (math.isfinite(value) and value > 0):
                raise ValueError(f"{field.name} must be above 0, not {value}")
        if self.device not in ("cpu", "cuda"):
            raise ValueError(f"device must be 'cpu' or 'cuda', not {self.device!r}")
        if strange := set(self.tuned_tasks) - set(self.tasks):
            raise ValueError(f"tuned_tasks has {min(strange)}, which is not among the tasks")
        if unknown := set(self.repeated_budgets) - set(self.budgets):
            raise ValueError(f"repeated_budgets has {min(unknown):g}, which is not among the budgets")
        called: dict[str, tuple[int, int, int]] = {}
        for size, shape in zip(self.sizes, self.shapes, strict=True):  # refuses what is no shape
            if (there := called.setdefault(amount(shape.n_params), size)) != size:
                raise ValueError(
                    f"sizes {list(there)} and {list(size)} are both {amount(shape.n_params)} parameters, "
                    "by which checkpoints are named: leave one out"
                )
            if sample_flops(shape.n_params, 1) > self.inference_flops:
                raise ValueError(
                    f"inference_flops {self.inference_flops:g} are not one sample of the size of "
                    f"{shape.n_params:,} parameters: raise them, or leave it out"
                )

    @property
    def shapes(self) -> list[Shape]:
        """The models' shapes."""
        return [
            Shape(self.family, width, layers, heads, self.vocab, self.context)
            for width, layers, heads in self.sizes
        ]


def read_settings(source: str | Path) -> Settings:
    """The settings of a preset's name or a TOML file.

    Args:
        source: `small`, `full`, `gpu`, or a path.

    Returns:
        The settings.

    Raises:
        ValueError: for a file that is no TOML, and for a key that is missing, unknown or of another kind.
    """
    return parse_settings(settings_text(source), str(source))


def settings_text(source: str | Path) -> str:
    """The TOML of a preset's name or a file.

    Args:
        source: as for `read_settings`.

    Returns:
        The text.
    """
    if str(source) in PRESETS:
        return resources.files("t2fast.testbed").joinpath(f"{source}.toml").read_text("utf-8")
    return Path(source).read_text("utf-8")


def parse_settings(text: str, name: str = "the settings") -> Settings:
    """The settings of TOML.

    Args:
        text: the TOML.
        name: what it is called in errors.

    Returns:
        The settings.

    Raises:
        ValueError: as `read_settings`.
    """
    toml = _toml()
    try:
        data = toml.loads(text)
    except toml.TOMLDecodeError as error:
        hint = (
            "; settings are TOML, as `t2fast testbed small --print` shows" if _looks_yaml(name, text) else ""
        )
        raise ValueError(f"{name} is no TOML: {error}{hint}") from error
    return _of(data, name)


def _looks_yaml(name: str, text: str) -> bool:
    """Whether it is more likely YAML, as other tools' settings are."""
    return name.endswith((".yaml", ".yml")) or re.search(r"^\w+:\s", text, re.MULTILINE) is not None


def settings_in(folder: Path) -> Settings:
    """The settings of the testbed in `folder`."""
    path = folder / SETTINGS
    if not path.exists():
        raise ValueError(f"{folder} is no testbed: it has no {SETTINGS}, which `t2fast testbed` begins with")
    return _of(read_object(path), str(path))


def claim(folder: Path, settings: Settings) -> None:
    """Make the folder that testbed's, or find that it is; `ValueError` if it is another's.

    More samples, seeds of the loop, sizes and budgets only add to what is there: with those it grows.
    """
    path = folder / SETTINGS
    if path.exists():
        there = asdict(settings_in(folder))
        new = asdict(settings)
        grown = [key for key in _GROWING if new[key] > there[key]]
        grown += [key for key in _WIDENING if set(new[key]) > set(there[key])]
        if different := [
            f"{key} was {there[key]} and is {new[key]}"
            for key in new
            if there[key] != new[key] and key not in grown
        ]:
            raise ValueError(f"{folder} holds another testbed: {'; '.join(different)}. Give another folder")
        if grown:
            _write(path, settings)
    elif strangers := sorted(one.name for one in folder.iterdir() if one.name != "lock"):
        raise ValueError(f"{folder} is no testbed and not empty (it has {strangers[0]}): give another folder")
    else:
        _write(path, settings)


def _write(path: Path, settings: Settings) -> None:
    atomic.write(path, [json.dumps(asdict(settings), indent=1).encode(), b"\n"])


def _of(data: Any, name: str) -> Settings:
    """The settings of keys and values."""
    known = {field.name: str(field.type) for field in fields(Settings)}
    optional = {field.name for field in fields(Settings) if field.default is not MISSING}
    for key in data:
        if key not in known:
            hint = nearest(key, list(known))
            meant = f" (did you mean {hint!r}?)" if hint else ""
            raise ValueError(f"{name} has an unknown key {key!r}{meant}")
    for key in known:
        if key not in data and key not in optional:
            raise ValueError(f"{name} has no {key}")
    return Settings(**{key: _typed(data[key], known[key], f"{name}: {key}") for key in known if key in data})


def _typed(value: Any, kind: str, where: str) -> Any:
    """The value as a field of this type, or a `ValueError`."""
    if kind.startswith("tuple["):
        inner = kind[6:-1]
        if not isinstance(value, list):
            raise ValueError(f"{where} is {value!r}: a list is wanted")
        if inner.endswith(", ..."):
            return tuple(_typed(one, inner[:-5], where) for one in value)
        kinds = inner.split(", ")
        if len(kinds) != len(value):
            raise ValueError(f"{where} is {value!r}: a list of {len(kinds)} is wanted")
        return tuple(_typed(one, kind, where) for one, kind in zip(value, kinds, strict=True))
    wanted = {"int": int, "float": (int, float)}.get(kind, str)
    if isinstance(value, bool) or not isinstance(value, wanted):  # type: ignore[arg-type]
        words = {"int": "a whole number", "float": "a number"}.get(kind, "text")
        raise ValueError(f"{where} is {value!r}: {words} is wanted")
    return float(value) if kind == "float" else value


def _toml() -> Any:
    for name in ("tomllib", "tomli"):  # the first from Python 3.11 on
        with contextlib.suppress(ImportError):
            return importlib.import_module(name)
    raise ImportError("settings need tomli: pip install 't2fast[train]'")
