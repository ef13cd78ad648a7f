"""large_language_monkeys: one YAML file a problem, named by it, with `samples` and, as many, `is_corrects`.

The files hold up to 10,000 samples each, so they are read as a stream of events: nothing is built but the
verdicts, no tag is obeyed and no alias is expanded. Its documentation calls the verdicts `is_correct`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from typing import Any

from t2fast.progress import track
from t2fast.readers.choices import Choices
from t2fast.readers.measured import Measured, Problems, Tally

NAME = "large_language_monkeys"
KEYS = frozenset({"prompt", "samples", "is_corrects"})
_VERDICTS = ("is_corrects", "is_correct")
_KEY = re.compile(rb"(prompt|question|samples|gt_answer|is_corrects?)\s*:(\s|$)")
# Time in libyaml grows with the square of the depth.
_DEEPEST = 32
_TRUTH = {"true": True, "false": False}


def recognises_text(head: bytes) -> bool:
    """Whether a file begins as one of these: with one of their keys at the margin."""
    lines = [line for line in head.splitlines() if line.strip() not in (b"", b"---") and line[:1] != b"#"]
    return bool(lines) and _KEY.match(lines[0]) is not None


def read(paths: Sequence[str], choices: Choices) -> Measured:
    """Counts of every problem; a problem without samples is left out."""
    choices.refuse_others(paths[0], NAME, ())
    tally, problems = Tally(), Problems()
    for path in track(paths, "reading problems", len(paths), None if len(paths) > 1 else False):
        verdicts = _verdicts(path)
        problems.add(os.path.splitext(os.path.basename(path))[0], len(verdicts), sum(verdicts))
    tally.add(os.path.commonpath(paths), problems)
    return tally.measured(paths)


def _verdicts(path: str) -> list[bool]:
    try:
        import yaml
    except ImportError:
        raise ValueError(f"{path} is YAML, which needs PyYAML: pip install 't2fast[readers]'") from None
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        with open(path, "rb") as file:
            items = _items(yaml, yaml.parse(file, Loader=loader), path)
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"{path} is no YAML: {' '.join(str(error).split())}") from None
    found = [key for key in _VERDICTS if key in items]
    if len(found) != 1:
        raise ValueError(
            f"{path} has {'both is_corrects and' if found else 'no is_corrects, nor'} is_correct"
        )
    verdicts = items[found[0]]
    for i, text in enumerate(verdicts, 1):
        if text is None or text.lower() not in _TRUTH:
            raise ValueError(f"{found[0]} {i} of {path} is {text!r}, not true or false")
    samples = items.get("samples")
    if samples is not None and len(samples) != len(verdicts):
        raise ValueError(f"{path} has {len(samples)} samples but {len(verdicts)} {found[0]}")
    return [_TRUTH[text.lower()] for text in verdicts if text]


def _items(yaml: Any, events: Iterator[Any], path: str) -> dict[str, list[str | None]]:
    """The lists of a file's one mapping by key; items are None, but for unquoted ones of the verdicts."""
    lists: dict[str, list[str | None]] = {}
    key, awaits_key, roots = "", True, 0
    for depth, event in _nodes(yaml, events, path):
        if depth == 0:
            roots += 1
            if roots > 1 or not isinstance(event, yaml.MappingStartEvent):
                raise ValueError(f"{path} is not one mapping with {' or '.join(_VERDICTS)} and samples")
        elif depth == 1 and awaits_key:
            if not isinstance(event, yaml.ScalarEvent):
                raise ValueError(f"{path} has a key that is no text")
            key = event.value
            if key in lists:
                raise ValueError(f"{path} has {key} twice")
        elif depth == 1 and isinstance(event, yaml.SequenceStartEvent):
            lists[key] = []
        elif depth == 1 and key in (*_VERDICTS, "samples"):
            raise ValueError(f"{key} of {path} is no list")
        elif depth == 2 and key in lists:
            plain = isinstance(event, yaml.ScalarEvent) and event.implicit[0]
            lists[key].append(event.value if plain and key in _VERDICTS else None)
        awaits_key ^= depth == 1
    return lists


def _nodes(yaml: Any, events: Iterator[Any], path: str) -> Iterator[tuple[int, Any]]:
    """Scalars, aliases and beginnings of collections, with how many collections they lie in."""
    depth = 0
    for event in events:
        if isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        elif isinstance(event, yaml.NodeEvent):
            yield depth, event
            depth += isinstance(event, yaml.CollectionStartEvent)
            if depth > _DEEPEST:
                raise ValueError(f"{path} is nested too deeply")
