"""What runs a chat template: the program of the process that `sandbox` starts.

Imports nothing of this package, so that it starts quickly.
"""

from __future__ import annotations

import functools
import json
import os
import signal
import sys
from datetime import datetime
from typing import Any

import jinja2
import jinja2.ext
import jinja2.sandbox

LONGEST = 1 << 24
"""The most characters that a template may write: no model reads as many."""


class Generation(jinja2.ext.Extension):  # type: ignore[misc]
    """`{% generation %}` marks the assistant's own text for training; here it changes nothing."""

    tags = {"generation"}  # noqa: RUF012 (jinja2's way)

    def parse(self, parser: Any) -> Any:
        """The body, in a scope of its own."""
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return jinja2.nodes.Scope(body).set_lineno(line)


def refuse(message: str) -> None:
    """`raise_exception`."""
    raise jinja2.TemplateError(message)


def to_json(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """The filter `tojson`, which does not write for HTML as jinja2's own does."""
    return json.dumps(
        value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys
    )


@functools.lru_cache(maxsize=8)
def compiled(source: str) -> jinja2.Template:
    """A template with the functions that transformers gives to it."""
    environment = jinja2.sandbox.ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, "jinja2.ext.loopcontrols"]
    )
    environment.filters["tojson"] = to_json
    environment.globals["raise_exception"] = refuse
    return environment.from_string(source)


def answer(source: str, values: dict[str, Any], now: str) -> dict[str, str]:
    """The text, or what went wrong: the rest of a line that names the template."""
    try:
        moment = datetime.fromisoformat(now)
        text = compiled(source).render(strftime_now=moment.strftime, **values)
        if len(text) > LONGEST:
            return {"error": f": {len(text):,} characters, which no model reads"}
        return {"text": text}
    except MemoryError:
        return {"error": ": takes more memory than a template may"}
    except Exception as error:  # a template may fail in any way
        line = getattr(error, "lineno", None) or failed_at(error)
        kind = "" if type(error).__name__ == "TemplateError" else f"{type(error).__name__}: "
        at = f", line {line}" if line else ""
        return {"error": f"{at}: {kind}{' '.join(str(error).split()) or 'no reason given'}"}


def failed_at(error: BaseException) -> int | None:
    """The template's line at which it failed."""
    line, trace = None, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == "<template>":
            line = trace.tb_lineno
        trace = trace.tb_next
    return line


def serve(memory: int) -> None:
    """Answer requests, a line of JSON each, until there are no more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of a terminal; the process that asks decides
    try:
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    except (ImportError, ValueError, OSError):
        pass  # not on this system
    with os.fdopen(os.dup(1), "w") as answers:
        print("{}", file=answers, flush=True)
        for line in sys.stdin:
            print(json.dumps(answer(**json.loads(line))), file=answers, flush=True)
