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

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from t2fast import atomic
from t2fast.cluster import Resources
from t2fast.decode.endpoint import Endpoint
from t2fast.decode.request import Sampling, given
from t2fast.progress import Bar
from t2fast.runs.folder import Run, folder_name
from t2fast.runs.manifest import NAME, Manifest, task_entry
from t2fast.runs.models import Files, Models, Opening, Server, Source, find_models, model_name
from t2fast.runs.records import Lock
from t2fast.runs.sampler import Sampler
from t2fast.runs.shares import describe_on_ray, finish_on_ray, finish_part, wait_for_shares
from t2fast.tables import read_prices
from t2fast.tables.models import read_sizes
from t2fast.tables.sources import TableSource
from t2fast.tasks import Task
from t2fast.text import counted

__all__ = ["Run", "evaluate", "find_models", "model_name"]

_FEW = 5
"""Most differences between two runs that an error lists."""


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
    endpoint: Endpoint | str | None = None,
    prices: TableSource | None = None,
    ray: bool = False,
    cpus: float | None = None,
    gpus: float | None = None,
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
        models: paths or hub ids as for `t2fast.decode.load`, named by their last part, or name -> path; with
            `endpoint`, what the server calls them.
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
            With `endpoint` it is all that is known of sizes.
        endpoint: a server that has the models and speaks OpenAI's protocol, or its address; nothing is opened
            here then, and samples are the server's: each is asked for by a seed of its own, and what a server
            makes of seeds is its affair. It samples alone, and does not `score`.
        prices: a table of `model`, `usd_per_million_prompt_tokens` and `usd_per_million_output_tokens`, for a
            server's models: counts then say what their samples cost.
        ray: each model on each task as a task of Ray, on all nodes that it has; they must see `folder` and
            the models' files. A task whose node dies is begun again elsewhere and loses no finished sample.
        cpus: processors of such a task; None: as many as `threads`, or one. It works on as many threads.
        gpus: GPUs of such a task, or a part of one; None: one with ``device="cuda"``, else none.
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
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{folder} is a file, and a run is kept in a folder: give another name")
    resources = _resources(ray, cpus, gpus, threads, device)
    if resources is not None and device == "cpu":
        threads = threads or max(1, int(resources.cpus))
    opening = Opening(device, dtype, threads, kernel, tokenizer)
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
    if resources is not None and endpoint is not None:
        raise ValueError("ray is for models that are opened: leave it out with endpoint")
    source = _source(models, endpoint, opening, prices, score)
    known = _sizes(sizes, source.names, [] if source.server else ["n_tokens"])
    if isinstance(source, Files) and resources is not None:
        described = describe_on_ray(source, stage, known, resources)
    else:
        described = tuple(source.describe(name, stage, known.get(name, {})) for name in source.names)
    manifest = Manifest(described, entries, k, until_successes, score, chat, source.server)
    _check_sizes(manifest)
    folder.mkdir(parents=True, exist_ok=True)
    with Lock(folder):
        run = _begin(folder, manifest, tasks)
        _finish(run, {task.name: task for task in tasks}, source, resources, progress)
    return run


def _resources(
    ray: bool, cpus: float | None, gpus: float | None, threads: int | None, device: str
) -> Resources | None:
    """What a task of Ray takes; None without Ray."""
    if not ray:
        if cpus is not None or gpus is not None:
            raise ValueError("cpus and gpus are of tasks of Ray: leave them out, or give ray")
        return None
    on_gpu = 1.0 if device == "cuda" else 0.0
    return Resources(float(threads or 1) if cpus is None else cpus, on_gpu if gpus is None else gpus)


def _source(
    models: Models,
    endpoint: Endpoint | str | None,
    opening: Opening,
    prices: TableSource | None,
    score: bool,
) -> Source:
    """Where the models come from."""
    if endpoint is None:
        if prices is not None:
            raise ValueError("prices are of a server's models: leave them out without endpoint")
        return Files(models, opening)
    if score:
        raise ValueError("a server gives no log-likelihoods of answers here: leave score out with endpoint")
    asked = Endpoint(endpoint) if isinstance(endpoint, str) else endpoint
    return Server(models, asked, opening, None if prices is None else read_prices(prices))


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
        if (
            differences and not Run(folder, there).begun
        ):  # it was refused by a model, say: there is nothing to lose
            return _new(folder, manifest, tasks)
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
    return _new(folder, manifest, tasks)


def _new(folder: Path, manifest: Manifest, tasks: Sequence[Task]) -> Run:
    """A run that begins, in place of one that never did."""
    manifest.save(folder)
    run = Run(folder, manifest)
    for task in tasks:
        run.write_problems(task)
    return run


def _finish(
    run: Run, tasks: Mapping[str, Task], source: Source, resources: Resources | None, progress: bool | None
) -> None:
    """Do what is missing of every part, and put in order what is whole."""
    wait_for_shares(run.folder)
    parts = [(part, part.tally()) for part in run.parts()]
    total = sum(part.total for part, _ in parts)
    with Bar(total, progress, done=total - sum(tally.missing for _, tally in parts)) as bar:
        if isinstance(source, Files) and resources is not None:
            missing: Counter[tuple[str, str]] = Counter()
            for part, tally in parts:
                if tally.missing:
                    missing[part.model.name, part.task.name] += tally.missing
                else:
                    part.join(tally)
            bar.label(f"{counted(len(missing), 'task')} of Ray")
            for done in finish_on_ray(run, tasks, source, missing, resources):
                bar.advance(done)
        else:
            work = Sampler(run.manifest, bar)
            for part, tally in parts:
                scores = " scores" if part.kind != "samples" else ""
                bar.label(f"{part.model.name} {part.task.name}{scores}")
                finish_part(work, source, tasks[part.task.name], part, tally)
    wait_for_shares(run.folder)
    run.export()


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


def _sizes(
    table: TableSource | None, names: Sequence[str], required: Sequence[str]
) -> dict[str, dict[str, float]]:
    if table is None:
        return {}
    frame = read_sizes(table, names, "the run", required=required)
    return {row.pop("model"): row for row in frame.to_dicts()}


def _check_sizes(manifest: Manifest) -> None:
    for symbol, says in (("n_tokens", "on how many tokens {} was trained"), ("n_params", "how large {} is")):
        unsaid = [model.name for model in manifest.models if getattr(model, symbol) is None]
        if unsaid and len(unsaid) < len(manifest.models):
            raise ValueError(
                f"nobody says {says.format(', '.join(unsaid))}, although other models say it: give a models "
                f"table (model, {symbol})"
                + (", or n_tokens in its config.json" if symbol == "n_tokens" else "")
            )
