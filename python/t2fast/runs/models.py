"""The models of a run: files that are opened here, or names that a server knows."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, Protocol

from t2fast.decode import Engine, load
from t2fast.decode.endpoint import Endpoint, Served
from t2fast.decode.hub import resolve
from t2fast.runs.folder import folder_name
from t2fast.runs.manifest import ModelEntry, ServerEntry, hash_model, tokens_of
from t2fast.tables import Prices

Models = Mapping[str, str | Path] | Sequence[str | Path]


@dataclass(frozen=True)
class Opening:
    """How models are opened that are files."""

    device: Literal["cpu", "cuda"] = "cpu"
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    threads: int | None = None
    kernel: str | None = None
    tokenizer: str | Path | None = None


class Source(Protocol):
    """Where a run's models come from."""

    @property
    def names(self) -> list[str]:
        """What the models are called."""

    @property
    def server(self) -> ServerEntry | None:
        """Who has them, if they are not files."""

    def open(self, name: str) -> Engine | Served:
        """What draws a model's samples."""

    def describe(self, name: str, stage: str, sizes: Mapping[str, float]) -> ModelEntry:
        """What a run writes down of a model; `sizes` are N and D as far as a table has them."""


class Files:
    """Models opened here. The last one is kept, so that a run of a single model reads it once."""

    server = None

    def __init__(self, models: Models, opening: Opening):
        self.paths = {name: resolve(model) for name, model in _named(models).items()}
        self.names = list(self.paths)
        self.opening = opening
        self._name: str | None = None
        self._engine: Engine | None = None

    def open(self, name: str) -> Engine:
        """The model's engine."""
        if self._engine is None or self._name != name:
            self._engine = None  # before the next is read: two models may not fit in memory
            o = self.opening
            self._engine = load(
                self.paths[name],
                device=o.device,
                dtype=o.dtype,
                threads=o.threads,
                kernel=o.kernel,
                tokenizer=o.tokenizer,
            )
            self._name = name
        return self._engine

    def describe(self, name: str, stage: str, sizes: Mapping[str, float]) -> ModelEntry:
        """By its files."""
        core, path = self.open(name).core, self.paths[name]
        return ModelEntry(
            name=name,
            hash=hash_model(path),
            n_params=sizes.get("n_params", float(core.model.n_params)),
            n_tokens=sizes.get("n_tokens") or tokens_of(path),
            stage=stage,
            dtype=core.dtype,
            kernel=core.kernel,
        )


class Server:
    """Models that a server has, by the names that it knows them by."""

    def __init__(self, models: Models, endpoint: Endpoint, opening: Opening, prices: Prices | None):
        given = [name for name, value in asdict(opening).items() if value != asdict(Opening())[name]]
        if given:
            raise ValueError(f"{given[0]} is for models that are opened here: leave it out with endpoint")
        self._known = {name: str(model) for name, model in _named(models).items()}
        self.names = list(self._known)
        self._endpoint, self._prices = endpoint, prices
        self.server = ServerEntry(endpoint.url, dict(endpoint.request))

    def open(self, name: str) -> Served:
        """The model at the server."""
        return Served(self._endpoint, self._known[name])

    def describe(self, name: str, stage: str, sizes: Mapping[str, float]) -> ModelEntry:
        """By what the caller says: a server tells no sizes."""
        prices = {} if self._prices is None else self._prices.of(name)
        return ModelEntry(
            name=name,
            hash=self._known[name],
            n_params=sizes.get("n_params"),
            n_tokens=sizes.get("n_tokens"),
            stage=stage,
            dtype="the server's",
            kernel="the server's",
            per_million_prompt_tokens=prices.get("usd_per_million_prompt_tokens"),
            per_million_output_tokens=prices.get("usd_per_million_output_tokens"),
        )


def find_models(path: str | Path) -> list[Path]:
    """The model at `path`, or, where that is a folder of checkpoints, each of them, ordered by name.

    Args:
        path: a model as for `t2fast.decode.load`, or a folder of such.

    Returns:
        Paths of models.

    Raises:
        ValueError: if there is no model.
    """
    path = resolve(path)
    if path.is_file() or (path / "config.json").is_file():
        return [path]
    found = [
        one for one in sorted(path.iterdir()) if one.suffix == ".gguf" or (one / "config.json").is_file()
    ]
    if not found:
        raise ValueError(
            f"{path} is no model and holds none: no config.json, no .gguf, in it or one level below"
        )
    return found


def _named(models: Models) -> dict[str, str | Path]:
    """The models by their names, each of which is there once."""
    if isinstance(models, str | Path):
        raise ValueError("models is one path: give a list of them, or name -> path")
    pairs = (
        models.items() if isinstance(models, Mapping) else [(model_name(model), model) for model in models]
    )
    found: dict[str, str | Path] = {}
    for name, model in pairs:
        if folder_name(name) in map(folder_name, found):
            raise ValueError(f"two models are called {name!r}: name them, as name -> path or NAME=PATH")
        found[name] = model
    if not found:
        raise ValueError("no model given")
    return found


def model_name(model: str | Path) -> str:
    """What a model is called unless the caller says otherwise: the last part of its path or hub id.

    Args:
        model: a path or hub id.

    Returns:
        The name.
    """
    return re.sub(r"\.gguf$", "", Path(model).expanduser().resolve().name.partition("@")[0])
