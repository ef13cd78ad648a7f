"""The whole way: corpus, grid, laws, plans, the plans trained, and what became of them."""

from __future__ import annotations

import json
import os
from pathlib import Path

from t2fast import atomic
from t2fast.cluster import require_ray
from t2fast.data import Measurements
from t2fast.runs.records import Lock
from t2fast.tables import read_counts, read_likelihoods, read_losses
from t2fast.testbed import loop
from t2fast.testbed.grid import Checkpoint, grid, up_to
from t2fast.testbed.measured import counts_of, likelihoods_of, losses_of, write_tables
from t2fast.testbed.pool import finish_all
from t2fast.testbed.report import REPORT, Testbed
from t2fast.testbed.settings import Settings, claim, settings_in
from t2fast.testbed.work import is_done, make_corpus, work_of
from t2fast.training import Corpus


def run_testbed(
    settings: Settings,
    folder: str | Path,
    *,
    workers: int | None = None,
    ray: bool = False,
    progress: bool | None = None,
) -> Testbed:
    """Train and measure the grid, fit, plan, train the plans, and report; go on where a kill cut it off.

    Roberts et al. 2026 (arXiv 2604.01411) at a size of one's own. Laws are fitted to the likelihoods of the
    checkpoints that cost at most C/8, one a task; what they plan for C, and what Chinchilla's law of the
    held-out losses would, is then trained and measured.

    Args:
        settings: see `read_settings`.
        folder: new, or of a testbed of the same settings.
        workers: checkpoints at once, each on one thread, as processes; None: the processor's cores, or 1 on
            a GPU; 1: in this process.
        ray: checkpoints as tasks of Ray instead, on all nodes that it has; they must see the folder. Each
            takes a processor and, with ``device = "cuda"``, a GPU.
        progress: a bar on stderr; None: where stderr is a terminal.

    Returns:
        What was measured, promised and kept; it prints itself, and is written to report.txt and report.json.

    Raises:
        ValueError: if the folder holds another testbed, or another process works in it, or there is no such
            device, or the settings cannot lead to a plan: too few checkpoints of at most C/8, say.
        ImportError: without the extra ``train``.
    """
    folder, count, ordinary = Path(folder), None, grid(settings)
    loop.check(settings, ordinary)
    if ray:
        require_ray()
    else:
        count = _workers(workers, settings.device)
        _check(settings)
    folder.mkdir(parents=True, exist_ok=True)
    with Lock(folder):
        claim(folder, settings)
        make_corpus(folder, settings, progress)
        finish_all(folder, settings, ordinary, count, progress)
        laws = loop.laws_of(settings, likelihoods_of(folder, ordinary))
        most = Corpus.open(folder / "corpus.npy").n_unique
        said = loop.promises(settings, laws, losses_of(folder, ordinary), most)
        planned = loop.chosen(settings, said)
        finish_all(folder, settings, planned, count, progress)
        # What was planned may be a checkpoint of the grid, which is fine-tuned as well.
        everything = list({one.name: one for one in (*ordinary, *planned, *ordinary)}.values())
        write_tables(folder, everything)
        done = Testbed(
            folder,
            counts_of(folder, everything),
            likelihoods_of(folder, everything),
            losses_of(folder, everything),
            laws,
            len(losses_of(folder, ordinary).filter(max_train_flops=up_to(settings))),
            loop.kept(said, likelihoods_of(folder, planned), counts_of(folder, planned)),
            settings.train_flops,
            settings.inference_flops,
            {one.name: work_of(folder, one) for one in everything},
            settings.device,
        )
        atomic.write(folder / "report.txt", [str(done).encode(), b"\n"])
        atomic.write(folder / REPORT, [json.dumps(done.to_dict(), indent=1).encode(), b"\n"])
    return done


def pack(folder: str | Path, target: str | Path) -> list[Path]:
    """Keep the tables of a testbed that is done as small files, for `t2fast.data.testbed`.

    Args:
        folder: of `run_testbed`.
        target: where to.

    Returns:
        The files.

    Raises:
        ValueError: if the testbed is not done: a part of it is not what it is for.
    """
    folder = Path(folder)
    settings = settings_in(folder)
    missing = sum(not is_done(folder, one) for one in grid(settings))
    if missing or not (folder / REPORT).exists():
        left = f"{missing} checkpoints are missing" if missing else "its loop is not closed"
        raise ValueError(f"{folder} is not done ({left}): run it to its end first")
    return Measurements(
        read_counts(folder / "counts.csv"),
        read_likelihoods(folder / "likelihoods.csv"),
        read_losses(folder / "losses.csv"),
    ).write(target)


def estimate_seconds(settings: Settings, checkpoints: list[Checkpoint] | None = None) -> dict[str, float]:
    """What training will take here, by timing a few steps of every size on one thread, or on the GPU.

    Args:
        settings: see `read_settings`.
        checkpoints: of them; None: the grid's.

    Returns:
        `checkpoints`, `flops` and `seconds` of one thread, or of the GPU; measuring and the loop come on top.

    Raises:
        ValueError: if there is no such device.
        ImportError: without the extra ``train``.
    """
    import numpy as np

    from t2fast.training import loop as steps

    wanted = grid(settings) if checkpoints is None else checkpoints
    speeds: dict[tuple[int, int], float] = {}
    seconds = 0.0
    for one in wanted:
        key = one.shape.n_params, one.recipe.batch
        if key not in speeds:
            rows = np.zeros((one.recipe.batch, settings.context + 1), dtype=np.int64)
            speeds[key] = steps.seconds_a_step(one.shape, one.recipe, rows, settings.device)
        seconds += speeds[key] * one.recipe.steps(settings.context)
    return {"checkpoints": len(wanted), "flops": sum(one.flops for one in wanted), "seconds": seconds}


def run_share(
    settings: Settings, folder: str | Path, share: int, of: int, *, progress: bool | None = None
) -> list[str]:
    """Train and measure a share of the grid, for jobs that run side by side; `run_testbed` does the rest.

    Args:
        settings: see `read_settings`.
        folder: seen by all jobs.
        share: 1 to `of`; 0: the corpus alone, which must be there before any of the others.
        of: how many jobs share the grid.
        progress: a bar on stderr; None: where stderr is a terminal.

    Returns:
        The names of the share's checkpoints, all of them done.

    Raises:
        ValueError: if there is no such share, no corpus yet or no such device, or the folder holds another
            testbed.
        ImportError: without the extra ``train``.
    """
    if not (of >= 1 and 0 <= share <= of):
        raise ValueError(f"share {share}/{of} is none: the first of 40 is 1/40, and 0/40 makes the corpus")
    loop.check(settings, grid(settings))
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    claim(folder, settings)
    if share == 0:
        make_corpus(folder, settings, progress)
        return []
    if not (folder / "tokenizer.json").exists():
        raise ValueError(f"{folder} has no corpus yet: share 0/{of} makes it")
    _check(settings)
    own = sorted(grid(settings), key=lambda one: -one.flops)[share - 1 :: of]
    if own:
        finish_all(folder, settings, own, 1, progress)
    return [one.name for one in own]


def _check(settings: Settings) -> None:
    """Refuse a device that is not there, before anything is written."""
    from t2fast.training import loop as steps

    steps.device_of(settings.device)


def _workers(wanted: int | None, device: str) -> int:
    count = (_cores() if device == "cpu" else 1) if wanted is None else wanted
    if count < 1:
        raise ValueError(f"workers must be at least 1, not {count}")
    return count


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
