"""Model files damaged in seeded ways, each opened and used by a process with little memory: how each ended.

    python corrupted.py FOLDER FIRST LAST

FOLDER holds sound models; the damaged copy lies in FOLDER/damaged. One JSON line a seed.
"""

from __future__ import annotations

import copy
import json
import random
import resource
import shutil
import signal
import struct
import sys
import warnings
from pathlib import Path
from typing import Any

MEMORY = 3 << 30
"""Bytes of address space that reading a file of some 100 KB may take beyond what imports take."""
SECONDS = 60
EDGES = [0, 1, 2**31 - 1, 2**31, 2**32 - 1, 2**40, 2**62, 2**63 - 1, 2**63, 2**64 - 1]
VALUES: list[Any] = [
    None, True, 0, -1, 1, 3, 2**31, 2**40, 2**63, 2**64, 10**30, 0.5, -0.0, 1e308, -1e308, "", "x", "é\u0000",
    "y" * 1000, [], [1, 2], {}, {"type": "x"}, [[[[]]]], "\ud800",
]  # fmt: skip


def deep(depth: int) -> str:
    """JSON that is nested so deep."""
    return "[" * depth + "]" * depth


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Paths to all that can be replaced in a JSON value."""
    found = [path] if path else []
    if isinstance(value, dict):
        for key in value:
            found += places(value[key], (*path, key))
    elif isinstance(value, list):
        for i in range(min(len(value), 3)):
            found += places(value[i], (*path, i))
    return found


def change_json(data: bytes, rng: random.Random) -> tuple[bytes, str]:
    """One value replaced, removed or nested too deep; or bytes changed as in any other file."""
    kind = rng.choice(["replace", "replace", "replace", "remove", "deep", "bytes", "bytes"])
    if kind == "bytes":
        return change_bytes(data, rng)
    value = json.loads(data)
    top = rng.choice(list(value))
    where = rng.choice([p for p in places(value) if p[0] == top])
    parent = value
    for step in where[:-1]:
        parent = parent[step]
    if kind == "remove":
        del parent[where[-1]]
        return json.dumps(value).encode(), f"without {where}"
    if kind == "deep":
        parent[where[-1]] = "DEEP"
        return json.dumps(value).replace(
            '"DEEP"', deep(rng.choice([100, 5_000, 200_000]))
        ).encode(), f"deep {where}"
    parent[where[-1]] = copy.deepcopy(rng.choice(VALUES))
    return json.dumps(value).encode(), f"{where} = {str(parent[where[-1]])[:30]!r}"


def change_bytes(data: bytes, rng: random.Random) -> tuple[bytes, str]:
    """Flipped bits, changed bytes, numbers at the edge, or an end too early."""
    kind = rng.choice(["flip", "flip", "bytes", "edge", "edge", "cut"])
    if kind == "cut":
        keep = rng.randrange(len(data))
        return data[:keep], f"cut to {keep}"
    changed = bytearray(data)
    # Most of what can break is at the front, whatever the format.
    front = rng.choice([64, 2000, len(data)])
    at = [rng.randrange(min(front, len(data))) for _ in range(1 if kind == "edge" else rng.randint(1, 5))]
    for i in at:
        if kind == "edge":
            number = struct.pack("<Q", rng.choice(EDGES))
            changed[i : i + 8] = number
        else:
            changed[i] = changed[i] ^ 1 << rng.randrange(8) if kind == "flip" else rng.randrange(256)
    return bytes(changed), f"{kind} at {at}"


def damage(source: Path, target: Path, rng: random.Random) -> str:
    """Copy a model with one fault; says which."""
    if source.is_file():
        data, what = change_bytes(source.read_bytes(), rng)
        target.write_bytes(data)
        return f"{source.name}: {what}"
    shutil.copytree(source, target)
    chosen = rng.choice(sorted(target.iterdir()))
    data = chosen.read_bytes()
    if chosen.suffix == ".json":
        data, what = change_json(data, rng)
    elif chosen.suffix == ".safetensors" and rng.random() < 0.5:
        length = int.from_bytes(data[:8], "little")
        header, what = change_json(data[8 : 8 + length], rng)
        data = len(header).to_bytes(8, "little") + header + data[8 + length :]
    else:
        data, what = change_bytes(data, rng)
    chosen.write_bytes(data)
    return f"{source.name}/{chosen.name}: {what}"


def use(path: Path) -> None:
    """What a user does with a model: open it, ask for text, also by its template, and score an answer."""
    import t2fast.decode

    engine = t2fast.decode.load(path, threads=1)
    engine.sample("ab, été 12", k=2, max_tokens=3, progress=False)
    engine.sample("ab", k=1, max_tokens=3, chat=True, progress=False)
    engine.score(["ab"], [["a"]])


def main(folder: Path, first: int, last: int) -> None:
    import jinja2.sandbox  # noqa: F401
    import t2fast.decode  # noqa: F401 (its memory is no part of what is measured)
    import tokenizers  # noqa: F401

    warnings.simplefilter("ignore")
    soft = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (soft, soft))
    models = sorted(p for p in folder.iterdir() if not p.name.startswith("damaged"))
    for seed in range(first, last):
        rng = random.Random(seed)
        source = rng.choice(models)
        target = folder / ("damaged" + source.suffix)
        what = damage(source, target, rng)
        print(json.dumps({"seed": seed, "what": what}), flush=True)
        said, kind = None, "well"
        signal.alarm(SECONDS)  # the default action ends this process, which the parent sees
        try:
            use(target)
        except BaseException as error:
            said, kind = str(error), type(error).__name__
        signal.alarm(0)
        print(json.dumps({"seed": seed, "kind": kind, "said": said}), flush=True)
        shutil.rmtree(target) if target.is_dir() else target.unlink()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
