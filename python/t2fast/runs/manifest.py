"""What a run is: its models, tasks and settings, in one JSON file, by which it is continued or refused."""

from __future__ import annotations

import hashlib
import json
import math
import os
import platform
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, TypeVar

from t2fast import atomic
from t2fast._core import __version__
from t2fast.decode.request import Sampling
from t2fast.tasks import Task

NAME = "manifest.json"
_FORMAT = 3
_MODEL_FILES = (".safetensors", ".json", ".gguf", ".jinja", ".model", ".txt")


@dataclass(frozen=True)
class ModelEntry:
    """A model of a run.

    `n_params` is N and `n_tokens` D, None where nobody said it; `hash` covers its files' contents, or is what
    a server calls it; the last two are its prices in USD.
    """

    name: str
    hash: str
    n_params: float | None
    n_tokens: float | None
    stage: str
    dtype: str
    kernel: str
    per_million_prompt_tokens: float | None = None
    per_million_output_tokens: float | None = None


@dataclass(frozen=True)
class ServerEntry:
    """The server that has a run's models, and what requests to it hold beside a run's own settings."""

    url: str
    request: Mapping[str, Any]


@dataclass(frozen=True)
class TaskEntry:
    """A task of a run; `sampling` is how it is sampled, None where the run only scores."""

    name: str
    fingerprint: str
    problems: int
    rule: str
    sampling: Sampling | None
    verified: bool


Entry = TypeVar("Entry", ModelEntry, TaskEntry)


@dataclass(frozen=True)
class Manifest:
    """Everything that the samples and likelihoods of a run are a function of."""

    models: tuple[ModelEntry, ...]
    tasks: tuple[TaskEntry, ...]
    k: int | None
    """Samples a problem; None where a run only scores."""
    until_successes: int | None
    """With m, a problem ends at its m-th success or at k samples."""
    score: bool
    chat: bool
    server: ServerEntry | None = None
    """None: the models are files, and sampled here."""
    version: str = __version__
    created: str = field(
        default_factory=lambda: datetime.now(timezone.utc).isoformat(timespec="microseconds")
    )
    python: str = field(default_factory=platform.python_version)

    def __post_init__(self) -> None:
        if self.k is not None and self.k < 1:
            raise ValueError(f"k is {self.k}; at least one sample a problem is needed")
        if self.until_successes is not None and not 1 <= self.until_successes <= (self.k or 0):
            raise ValueError(
                f"until_successes is {self.until_successes}; it must lie between 1 and k = {self.k}"
            )

    @property
    def date(self) -> datetime:
        """What chat templates that ask are told: the run's first day, whenever it is continued."""
        return datetime.fromisoformat(self.created)

    def save(self, folder: Path) -> None:
        """Write it to the run's folder, whole or not at all."""
        text = json.dumps({"format": _FORMAT, **asdict(self)}, indent=1, ensure_ascii=False, allow_nan=False)
        atomic.write(folder / NAME, [text.encode("utf-8") + b"\n"])

    @classmethod
    def load(cls, folder: Path) -> Manifest:
        """Read it. `ValueError` if it is no manifest of this format."""
        path = folder / NAME
        try:
            data = json.loads(path.read_text("utf-8"))
            if data.pop("format") != _FORMAT:
                raise ValueError("its format is not the one this version writes")
            models = tuple(ModelEntry(**entry) for entry in data.pop("models"))
            tasks = tuple(
                TaskEntry(**{**entry, "sampling": entry["sampling"] and Sampling(**entry["sampling"])})
                for entry in data.pop("tasks")
            )
            server = data.pop("server", None)
            return cls(models, tasks, server=None if server is None else ServerEntry(**server), **data)
        except FileNotFoundError:
            raise ValueError(f"{folder} holds no run: there is no {NAME} in it") from None
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise ValueError(f"{path} is no manifest of a run: {error}") from error

    def differences(self, other: Manifest) -> list[str]:
        """What sets `other` apart from this one, in words.

        Sizes N and D, prices, a server's address and the run's date do not.
        """
        return [
            f"{name}: {was!r} there, {now!r} now"
            for name, was, now in _compare(self._identity(), other._identity())
        ]

    def cut_to(self, there: Manifest, tasks: Mapping[str, Task]) -> Manifest:
        """This run without what it has beyond `there`: samples, scores, models, tasks and problems.

        Samples are functions of what both have, so a run may grow by these; what else differs, the two
        manifests' `differences` say. `tasks` has this run's by name.
        """
        sampled = there.k is not None

        def cut(entry: TaskEntry, before: TaskEntry) -> TaskEntry:
            task = tasks[entry.name]
            problems = min(before.problems, len(task.problems))
            return task_entry(task.first(problems), entry.sampling if sampled else None)

        models, entries = _common(self.models, there.models), _common(self.tasks, there.tasks)
        return replace(
            self,
            models=self.models if models is None else tuple(now for now, _ in models),
            tasks=self.tasks if entries is None else tuple(cut(*pair) for pair in entries),
            k=None if self.k is None or there.k is None else min(self.k, there.k),
            until_successes=self.until_successes if sampled else None,
            score=self.score and there.score,
        )

    def _identity(self) -> dict[str, Any]:
        whole = asdict(self)
        for name in ("created", "python"):
            del whole[name]
        for entry in whole["models"]:
            for name in ("n_params", "n_tokens", "per_million_prompt_tokens", "per_million_output_tokens"):
                del entry[name]
        if whole["server"] is not None:
            del whole["server"]["url"]
        for part in ("models", "tasks"):
            entries = whole.pop(part)
            whole[part] = [entry["name"] for entry in entries]
            whole |= {f"{part[:-1]} {entry['name']}": entry for entry in entries}
        return whole


def _common(now: Sequence[Entry], there: Sequence[Entry]) -> list[tuple[Entry, Entry]] | None:
    """The entries of the names that are there, as they are now and there; None if one of them is no more."""
    own = {entry.name: entry for entry in now}
    if any(entry.name not in own for entry in there):
        return None
    return [(own[entry.name], entry) for entry in there]


def _compare(was: Any, now: Any, name: str = "") -> Iterator[tuple[str, Any, Any]]:
    if isinstance(was, Mapping) and isinstance(now, Mapping):
        for key in dict.fromkeys((*was, *now)):
            if not (name == "" and (key not in was or key not in now)):  # the list of names tells those
                yield from _compare(was.get(key), now.get(key), f"{name}, {key}" if name else key)
    elif was != now:
        yield name, was, now


def hash_model(path: Path) -> str:
    """SHA-256 of a model: of its file, or of the names and contents of its folder's weights and settings."""
    digest = hashlib.sha256()
    if path.is_file():
        _add(digest, path)
        return digest.hexdigest()
    for file in sorted(path.iterdir()):
        if file.suffix in _MODEL_FILES and file.is_file():
            digest.update(f"{file.name}\0{file.stat().st_size}\0".encode())
            _add(digest, file)
    return digest.hexdigest()


def _add(digest: Any, path: Path) -> None:
    with open(path, "rb") as file:
        while part := file.read(1 << 20):
            digest.update(part)


TOKENS_KEYS = ("n_tokens", "train_tokens", "training_tokens")
"""Names under which `config.json` (or a GGUF file's metadata, after `t2fast.`) may hold D."""


def tokens_of(path: str | os.PathLike[str]) -> float | None:
    """D as a model says it: `n_tokens` in its `config.json`, or `t2fast.n_tokens` in its GGUF metadata."""
    found: Any
    path = Path(path)
    if path.is_file():
        from t2fast import _core

        metadata = _core.gguf_metadata(str(path))
        found = next((metadata[f"t2fast.{key}"] for key in TOKENS_KEYS if f"t2fast.{key}" in metadata), None)
    else:
        try:
            config = json.loads((path / "config.json").read_text("utf-8"))
        except (OSError, ValueError):
            return None
        found = (
            next((config[key] for key in TOKENS_KEYS if key in config), None)
            if isinstance(config, dict)
            else None
        )
    if found is None:
        return None
    if (
        isinstance(found, bool)
        or not isinstance(found, int | float)
        or not (math.isfinite(found) and found > 0)
    ):
        raise ValueError(f"{path} says that its n_tokens is {found!r}; a number above 0 is wanted")
    return float(found)


def task_entry(task: Task, sampling: Sampling | None) -> TaskEntry:
    """The record of a task that is sampled in this way."""
    return TaskEntry(
        task.name, task.fingerprint, len(task.problems), task.rule, sampling, task.check is not None
    )
