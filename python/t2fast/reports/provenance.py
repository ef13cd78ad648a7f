"""Where a report comes from: the command, the files by their hashes, seeds and versions."""

from __future__ import annotations

import hashlib
import os
import platform
import shlex
from collections.abc import Iterator, Sequence
from importlib import metadata
from pathlib import Path

from t2fast._core import __version__
from t2fast.reports.page import Block, Grid, Prose, Section
from t2fast.runs import Run
from t2fast.runs.manifest import NAME

_LIBRARIES = ("numpy", "polars", "altair", "vl-convert-python")


def provenance(
    command: Sequence[str] | None, files: Sequence[str | os.PathLike[str]], runs: Sequence[Run]
) -> Section:
    """The section about where all this comes from."""
    blocks: list[Block] = []
    if command:
        blocks.append(Prose(f"Made by: {shlex.join(command)}"))
    opened = [Run.open(Path(file)) for file in files if os.path.isfile(os.path.join(file, NAME))]
    folders = {run.folder: run for run in (*runs, *opened)}
    every = list(folders.values())
    made_of = [
        *(file for file in files if Path(file) not in folders),
        *(f for run in every for f in run.files()),
    ]
    rows = [row for file in made_of for row in _hashed(file)]
    if rows:
        blocks.append(Grid(["file", "SHA-256"], rows, 2, "What it was made of"))
    for run in every:
        blocks.append(Grid(["of the run", str(run.folder)], _run(run), 2, "How the samples were drawn"))
    versions = [["t2fast", __version__], ["Python", platform.python_version()]]
    versions += [[name, metadata.version(name)] for name in _LIBRARIES]
    blocks.append(Grid(["made with", "version"], versions, 2))
    return Section("Where it comes from", blocks)


def _hashed(path: str | os.PathLike[str]) -> Iterator[list[str]]:
    """A file with its hash; every file of a folder."""
    name = os.fspath(path)
    if os.path.isdir(name):
        for folder, folders, inside in os.walk(name):
            folders.sort()
            for file in sorted(inside):
                yield from _hashed(os.path.join(folder, file))
    elif os.path.isfile(name):
        digest = hashlib.sha256()
        with open(name, "rb") as content:
            while block := content.read(1 << 20):
                digest.update(block)
        yield [name, digest.hexdigest()]


def _run(run: Run) -> list[list[str]]:
    manifest = run.manifest
    rows = [["made by t2fast", manifest.version], ["begun", manifest.created]]
    if manifest.k is not None:
        rows.append(["samples a problem", f"{manifest.k:,}"])
    rows += [[f"model {model.name}", f"{model.hash}, {model.dtype}"] for model in manifest.models]
    for task in manifest.tasks:
        how = ""
        if task.sampling is not None:
            how = f", seed {task.sampling.seed}, temperature {task.sampling.temperature:g}"
        rows.append([f"task {task.name}", f"{task.fingerprint}{how}"])
    return rows
