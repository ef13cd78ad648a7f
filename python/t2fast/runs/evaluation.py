"""Runs: models x tasks, sampled or scored, kept on disk as they go, and continued where they were cut off.

    run = t2fast.runs.evaluate(["SmolLM2-135M.gguf"], [load_task("synthetic/arithmetic")], "run", k=64)
    run.counts()                  # a table for estimates and fits

A run is a folder: `manifest.json` says what it is, `problems/` what was asked, `samples/MODEL/TASK` and
`likelihoods/MODEL/TASK` hold what came out, in blocks until all are there and then in one file. Sample i of a
problem is a function of (seed, problem id, i), so a run that is killed and started again, however often, ends
with the same bytes as one that is not; what a kill costs is the block at work, which is drawn again.
"""

from __future__ import annotations

import math
import re
import time
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from t2fast import atomic
from t2fast.decode import Engine, load
from t2fast.decode.hub import resolve
from t2fast.decode.request import Sampling, Settings
from t2fast.progress import Bar
from t2fast.runs.folder import Run, folder_name
from t2fast.runs.manifest import (
    NAME,
    Manifest,
    ModelEntry,
    TaskEntry,
    hash_model,
    task_entry,
    tokens_of,
)
from t2fast.runs.shards import Lock
from t2fast.tables.models import read_sizes
from t2fast.tables.sources import TableSource
from t2fast.tasks import Problem, Task

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["Run", "evaluate", "find_models", "model_name"]

_FEW = 5
"""Most differences between two runs that an error lists."""
_FEW_ROWS = 32
"""Samples at work at once where a success ends a problem: few enough that most others have not begun."""

Models = Mapping[str, str | Path] | Sequence[str | Path]


@dataclass(frozen=True)
class _Opening:
    """How models are opened."""

    device: Literal["cpu", "cuda"]
    dtype: Literal["auto", "float32", "bfloat16"]
    threads: int | None
    kernel: str | None
    tokenizer: str | Path | None


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
    device: Literal["cpu", "cuda"] = "cpu",
    dtype: Literal["auto", "float32", "bfloat16"] = "auto",
    threads: int | None = None,
    kernel: str | None = None,
    tokenizer: str | Path | None = None,
    progress: bool | None = None,
    **settings: Unpack[Settings],
) -> Run:
    """Sample and score every model on every task, in `folder`; go on where an earlier call was cut off.

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
        device: as for `t2fast.decode.load`.
        dtype: as for `t2fast.decode.load`.
        threads: as for `t2fast.decode.load`.
        kernel: as for `t2fast.decode.load`.
        tokenizer: as for `t2fast.decode.load`.
        progress: a bar on stderr; None: where stderr is a terminal.
        settings: how tokens are chosen and when a sample ends, as for `Engine.sample` (``temperature``,
            ``top_k``, ``top_p``, ``min_p``, ``seed``, …); ``max_tokens`` and ``stop`` in place of the tasks'
            own. Sample i of a problem is a function of these, its id and i.

    Returns:
        The run, all of it done.

    Raises:
        ValueError: if `folder` holds another run (it says what differs) or another process works in it.
        KeyboardInterrupt: after Ctrl-C; finished blocks are kept.
    """
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
    opener = _Opener(paths, _Opening(device, dtype, threads, kernel, tokenizer))
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


def _sampling(task: Task, settings: Settings) -> Sampling:
    """How a task is sampled: its own length and stops, unless others are given."""
    return replace(Sampling(max_tokens=task.max_tokens, stop=task.stop), **settings)  # type: ignore[arg-type]


def _begin(folder: Path, manifest: Manifest, tasks: Sequence[Task]) -> Run:
    """The run in `folder`, made or found again."""
    for remains in folder.rglob(f".*{atomic.SUFFIX}"):  # of a process that was killed while it wrote
        remains.unlink()
    if (folder / NAME).exists():
        there = Manifest.load(folder)
        differences = there.differences(manifest)
        if differences:
            some = "; ".join(differences[:_FEW]) + ("; …" if len(differences) > _FEW else "")
            raise ValueError(
                f"{folder} holds another run: {some}. Ask for the same again to continue it, or give another "
                "folder"
            )
        manifest = replace(manifest, created=there.created, python=there.python)
    elif strangers := sorted(path.name for path in folder.iterdir() if path.name != "lock"):
        raise ValueError(f"{folder} is no run and not empty (it has {strangers[0]}): give another folder")
    manifest.save(folder)
    run = Run(folder, manifest)
    for task in tasks:
        run.write_problems(task)
    return run


def _finish(run: Run, tasks: Mapping[str, Task], opener: _Opener, progress: bool | None) -> None:
    """Do every block that is missing, and join what is whole."""
    parts = run.parts()
    total = sum(part.size(block) for part in parts for block in range(len(part.blocks)))
    missing = [(part, part.shards.missing()) for part in parts]
    done = total - sum(part.size(block) for part, blocks in missing for block in blocks)
    started, samples, tokens = time.perf_counter(), 0, 0
    with Bar(total, progress, done=done) as bar:
        for part, blocks in missing:
            task = tasks[part.task.name]
            bar.label(f"{part.model.name} {task.name}" + (" scores" if part.kind == "likelihoods" else ""))
            for block in blocks:
                engine = opener(part.model.name)
                first, last, start, end = part.blocks[block]
                problems = task.problems[first:last]
                if part.kind == "likelihoods":
                    rows = _score(engine, problems, run.manifest.chat, run.manifest.date)
                else:
                    rows = _draw(engine, task, problems, run.manifest, part.task, start, end)
                part.shards.write(block, rows)
                samples += len(rows)
                tokens += sum(row["length"] for row in rows)
                seconds = time.perf_counter() - started
                bar.advance(part.size(block))
                bar.rate(f"{samples / seconds:,.0f} samples/s, {tokens / seconds:,.0f} tokens/s")
            part.shards.join()
    run.export()


def _draw(
    engine: Engine,
    task: Task,
    problems: Sequence[Problem],
    manifest: Manifest,
    entry: TaskEntry,
    start: int,
    end: int,
) -> list[dict[str, Any]]:
    """Samples `start` to `end` of each problem, judged, as rows ordered by problem and sample."""
    by_id = {problem.id: problem for problem in problems}

    def right(problem: Any, text: str) -> bool:
        return task.verify(by_id[problem], text)

    def draw(asked: Iterable[str], first: int, count: int, verify: Callable[[Any, str], bool] | None) -> Any:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="sampling was interrupted")
            drawn = engine.sample(
                {problem: by_id[problem].prompt for problem in asked},
                entry.sampling,
                k=count,
                first_sample=first,
                chat=manifest.chat,
                now=manifest.date,
                verify=verify,
                max_rows=None if verify is None else _FEW_ROWS,
                progress=False,
            )
        if drawn.interrupted:
            raise KeyboardInterrupt
        return drawn.table.iter_rows(named=True)

    def row(drawn: Mapping[str, Any]) -> dict[str, Any]:
        text = drawn["text"]
        return {
            "problem": drawn["problem"],
            "sample": drawn["sample"],
            "text": text,
            "correct": right(drawn["problem"], text) if task.check is not None else None,
            "length": len(drawn["tokens"]),
            "finish_reason": drawn["finish_reason"],
            "logprob": drawn["logprob"],
        }

    wanted = manifest.until_successes
    if wanted is None:
        return [row(drawn) for drawn in draw(by_id, start, end - start, None)]
    kept: dict[str, list[dict[str, Any]]] = {problem: [] for problem in by_id}
    successes = dict.fromkeys(by_id, 0)
    # To a first success the engine itself stops a problem; to a later one, rounds over all open problems do.
    size = end - start if wanted == 1 else max(4, wanted)
    while start < end and (pending := [problem for problem in by_id if successes[problem] < wanted]):
        size = min(size, end - start)
        for drawn in draw(pending, start, size, right if wanted == 1 else None):
            problem = drawn["problem"]
            # The engine cancels only what follows the first success, which the rule below leaves out as well.
            if successes[problem] < wanted:
                kept[problem].append(row(drawn))
                successes[problem] += kept[problem][-1]["correct"]
        start += size
        size = 3 * start  # few rounds, since each reads the prompts again, and never 4 times what was needed
    return [one for rows in kept.values() for one in rows]


def _score(engine: Engine, problems: Sequence[Problem], chat: bool, now: datetime) -> list[dict[str, Any]]:
    """The log-likelihood of each problem's answers: log of the probability that a sample begins with one."""
    prompts: dict[str | int, str] = {problem.id: problem.prompt for problem in problems}
    answers: dict[str | int, list[str | Sequence[int]]] = {
        problem.id: _without_extensions(problem.answers) for problem in problems
    }
    scored = engine.score(prompts, answers, chat=chat, now=now)
    rows: dict[Any, dict[str, Any]] = {
        problem: {"problem": problem, "log_likelihood": 0.0, "answers": [], "length": 0}
        for problem in prompts
    }
    for one in scored.iter_rows(named=True):
        rows[one["problem"]]["answers"].append(one["logprob"])
        rows[one["problem"]]["length"] += one["n_tokens"]
    for one in rows.values():
        largest = max(one["answers"])
        total = largest + math.log(math.fsum(math.exp(value - largest) for value in one["answers"]))
        one["log_likelihood"] = min(total, 0.0)  # rounding can lift a sum of probabilities above one
    return list(rows.values())


def _without_extensions(answers: tuple[str, ...]) -> list[str | Sequence[int]]:
    """Answers that begin with no other answer: the texts that begin with them are then counted once."""
    distinct = dict.fromkeys(answers)
    return [one for one in distinct if not any(one != other and one.startswith(other) for other in distinct)]


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
