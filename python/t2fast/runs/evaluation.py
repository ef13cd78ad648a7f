"""Runs: models x tasks, sampled or scored, kept on disk as they go, and continued where they were cut off.

    run = t2fast.runs.evaluate(["SmolLM2-135M.gguf"], [load_task("synthetic/arithmetic")], "run", k=64)
    run.counts()                  # a table for estimates and fits

A run is a folder: `manifest.json` says what it is, `problems/` what was asked, `samples/MODEL/TASK` and
`likelihoods/MODEL/TASK` hold what came out. Sample i of a problem is a function of (seed, problem id, i), so
a run that is killed and started again, however often, ends with the same bytes as one that is not, and a kill
costs no sample that had ended. For the same reason a run can grow: asked again for a larger k, more problems,
tasks or models, it draws what it lacks, and ends as if it had been asked for that at once.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from t2fast import atomic
from t2fast.decode import Engine, load
from t2fast.decode.hub import resolve
from t2fast.decode.request import Sampling, given
from t2fast.progress import Bar
from t2fast.runs.folder import Run, folder_name
from t2fast.runs.manifest import (
    NAME,
    Manifest,
    ModelEntry,
    hash_model,
    task_entry,
    tokens_of,
)
from t2fast.runs.records import Lock
from t2fast.runs.sampler import Sampler
from t2fast.tables.models import read_sizes
from t2fast.tables.sources import TableSource
from t2fast.tasks import Task

__all__ = ["Run", "evaluate", "find_models", "model_name"]

_FEW = 5
"""Most differences between two runs that an error lists."""

Models = Mapping[str, str | Path] | Sequence[str | Path]


@dataclass(frozen=True)
class _Opening:
    """How models are opened."""

    device: Literal["cpu", "cuda"] = "cpu"
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    threads: int | None = None
    kernel: str | None = None
    tokenizer: str | Path | None = None


class _Opener:
    """Opens models and keeps the last one, so that a run of a single model reads it once."""

    def __init__(self, paths: Mapping[str, Path], options: _Opening):
        self.paths, self.options = paths, options
        self._name: str | None = None
        self._engine: Engine | None = None

    def __call__(self, name: str) -> Engine:
        if self._engine is None or self._name != name:
            self._engine = None  # before the next is read: two models may not fit in memory
            o = self.options
            path = self.paths[name]
            self._engine = load(
                path,
                device=o.device,
                dtype=o.dtype,
                threads=o.threads,
                kernel=o.kernel,
                tokenizer=o.tokenizer,
            )
            self._name = name
        return self._engine


def evaluate(
    models: Models,
    tasks: Sequence[Task],
    folder: str | Path,
    *,
    k: int | None = 256,
    score: bool = False,
    until_successes: int | None = None,
    chat: bool = False,
    stage: str = "base",
    sizes: TableSource | None = None,
    progress: bool | None = None,
    device: Literal["cpu", "cuda"] = "cpu",
    dtype: Literal["auto", "float32", "bfloat16"] = "auto",
    threads: int | None = None,
    kernel: str | None = None,
    tokenizer: str | Path | None = None,
    temperature: float | None = None,
    top_k: int | None = None,
    top_p: float | None = None,
    min_p: float | None = None,
    max_tokens: int | None = None,
    stop: str | Sequence[str] | None = None,
    stop_tokens: Sequence[int] | None = None,
    seed: int | None = None,
) -> Run:
    """Sample and score every model on every task, in `folder`; go on where an earlier call ended.

    An earlier call may have been cut off, or have asked for less: a smaller k, fewer problems, tasks or
    models.

    Args:
        models: paths or hub ids as for `t2fast.decode.load`, named by their last part, or name -> path.
        tasks: see `t2fast.tasks.load_task`.
        folder: where the run is kept; made if it is not there.
        k: samples a problem; None: none, `score` alone.
        score: log-likelihood of each problem's reference answers, read after its prompt.
        until_successes: sequential sampling: a problem ends at its m-th verified success, or at k samples.
            Such counts are marked, since c/n is biased in them: see `t2fast.estimators.sequential`.
        chat: put prompts through the model's chat template.
        stage: of these models' training: base, fine-tuned, sft, …; counts carry it.
        sizes: a table of `model` and `n_tokens` (D), for models whose `config.json` has no `n_tokens`. Its
            `n_params`, if there, stands in place of the N that is read from the model.
        progress: a bar on stderr; None: where stderr is a terminal.
        device: as for `t2fast.decode.load`, like the next four.
        dtype: of the arithmetic.
        threads: on the CPU.
        kernel: instructions of the CPU.
        tokenizer: in place of the models' own.
        temperature: as for `Engine.sample`, like the next seven: sample i of a problem is a function of
            these, its id and i.
        top_k: keep so many of the most probable tokens; 0 keeps all.
        top_p: then the fewest whose mass reaches this.
        min_p: then those with at least this times the largest probability.
        max_tokens: longest sample, in tokens; None: each task's own.
        stop: a string that ends a sample, or several; None: each task's own.
        stop_tokens: tokens that end a sample; None: the model's own.
        seed: of all samples.

    Returns:
        The run, all of it done.

    Raises:
        ValueError: if `folder` holds a run that this one does not continue (it says what differs), or another
            process works in it.
        KeyboardInterrupt: after Ctrl-C; finished samples are kept.
    """
    opening = _Opening(device, dtype, threads, kernel, tokenizer)
    settings = given(
        temperature=temperature,
        top_k=top_k,
        top_p=top_p,
        min_p=min_p,
        max_tokens=max_tokens,
        stop=stop,
        stop_tokens=stop_tokens,
        seed=seed,
    )
    if k is None and not score:
        raise ValueError("nothing to do: give k, to sample, or score=True")
    if not stage:
        raise ValueError("stage is empty: name it, as base, fine-tuned or sft")
    if settings.get("temperature") == 0 and k is not None and k > 1:
        raise ValueError(
            f"k is {k} at temperature 0, where every sample of a problem is the same: ask for k = 1"
        )
    entries = tuple(task_entry(task, None if k is None else _sampling(task, settings)) for task in tasks)
    _check_tasks(tasks, score, until_successes)
    paths = _paths(models)
    opener = _Opener(paths, opening)
    known = _sizes(sizes, list(paths))
    described = tuple(_describe(name, path, opener(name), stage, known) for name, path in paths.items())
    manifest = Manifest(described, entries, k, until_successes, score, chat)
    _check_sizes(manifest)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with Lock(folder):
        run = _begin(folder, manifest, tasks)
        _finish(run, {task.name: task for task in tasks}, opener, progress)
    return run


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


def _sampling(task: Task, settings: Mapping[str, Any]) -> Sampling:
    """How a task is sampled: its own length and stops, unless others are given."""
    return replace(Sampling(max_tokens=task.max_tokens, stop=task.stop), **settings)


def _begin(folder: Path, manifest: Manifest, tasks: Sequence[Task]) -> Run:
    """The run in `folder`, made or found again."""
    for remains in folder.rglob(f".*{atomic.SUFFIX}"):  # of a process that was killed while it wrote
        remains.unlink()
    if (folder / NAME).exists():
        there = Manifest.load(folder)
        differences = there.differences(manifest.cut_to(there, {task.name: task for task in tasks}))
        if differences:
            some = "; ".join(differences[:_FEW]) + ("; …" if len(differences) > _FEW else "")
            raise ValueError(
                f"{folder} holds another run: {some}. Ask for the same to continue it, with a larger k, more "
                "problems, tasks or models to add to it, or give another folder"
            )
        manifest = replace(manifest, created=there.created, python=there.python)
        run = Run(folder, manifest)
        for task in tasks:  # a reader takes no more of them than the manifest says
            run.write_problems(task)
        manifest.save(folder)
        return run
    if strangers := sorted(path.name for path in folder.iterdir() if path.name != "lock"):
        raise ValueError(f"{folder} is no run and not empty (it has {strangers[0]}): give another folder")
    manifest.save(folder)
    run = Run(folder, manifest)
    for task in tasks:
        run.write_problems(task)
    return run


def _finish(run: Run, tasks: Mapping[str, Task], opener: _Opener, progress: bool | None) -> None:
    """Do what is missing of every part, and put in order what is whole."""
    parts = [(part, part.tally()) for part in run.parts()]
    total = sum(part.total for part, _ in parts)
    with Bar(total, progress, done=total - sum(tally.missing for _, tally in parts)) as bar:
        work = Sampler(run.manifest, bar)
        for part, tally in parts:
            if tally.missing:
                bar.label(
                    f"{part.model.name} {part.task.name}" + (" scores" if part.kind != "samples" else "")
                )
                do = work.draw if part.kind == "samples" else work.score
                do(opener(part.model.name), tasks[part.task.name], part, tally)
            part.join(tally)
    run.export()


def _describe(
    name: str, path: Path, engine: Engine, stage: str, sizes: Mapping[str, Mapping[str, float]]
) -> ModelEntry:
    given = sizes.get(name, {})
    return ModelEntry(
        name=name,
        hash=hash_model(path),
        n_params=given.get("n_params", float(engine.core.model.n_params)),
        n_tokens=given.get("n_tokens") or tokens_of(path),
        stage=stage,
        dtype=engine.core.dtype,
        kernel=engine.core.kernel,
    )


def _paths(models: Models) -> dict[str, Path]:
    if isinstance(models, str | Path):
        raise ValueError("models is one path: give a list of them, or name -> path")
    pairs = (
        models.items() if isinstance(models, Mapping) else [(model_name(model), model) for model in models]
    )
    paths: dict[str, Path] = {}
    for name, model in pairs:
        if folder_name(name) in map(folder_name, paths):
            raise ValueError(f"two models are called {name!r}: name them, as name -> path or NAME=PATH")
        paths[name] = resolve(model)
    if not paths:
        raise ValueError("no model given")
    return paths


def model_name(model: str | Path) -> str:
    """What a model is called unless the caller says otherwise: the last part of its path or hub id.

    Args:
        model: a path or hub id.

    Returns:
        The name.
    """
    return re.sub(r"\.gguf$", "", Path(model).expanduser().resolve().name.partition("@")[0])


def _check_tasks(tasks: Sequence[Task], score: bool, until_successes: int | None) -> None:
    if not tasks:
        raise ValueError("no task given")
    names = [folder_name(task.name) for task in tasks]
    for task in tasks:
        if names.count(folder_name(task.name)) > 1:
            raise ValueError(f"two tasks are called {task.name!r}: a run tells its tasks apart by name")
        if until_successes is not None and task.check is None:
            raise ValueError(f"task {task.name} is not verified here, so no success can end its sampling")
        lacking = next((problem.id for problem in task.problems if not problem.answers), None)
        if score and lacking is not None:
            raise ValueError(f"task {task.name}: problem {lacking} has no reference answer to score")


def _sizes(table: TableSource | None, names: Sequence[str]) -> dict[str, dict[str, float]]:
    if table is None:
        return {}
    frame = read_sizes(table, names, "the run", required=["n_tokens"])
    return {row.pop("model"): row for row in frame.to_dicts()}


def _check_sizes(manifest: Manifest) -> None:
    unsaid = [model.name for model in manifest.models if model.n_tokens is None]
    if unsaid and len(unsaid) < len(manifest.models):
        raise ValueError(
            f"nobody says on how many tokens {', '.join(unsaid)} was trained, although other models say it: "
            "give a models table (model, n_tokens), or n_tokens in its config.json"
        )
