"""Chat templates: from a list of messages to the text a chat model was trained on.

The template comes with the model and is not trusted: jinja2's sandbox renders it. Needs the package `jinja2`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from t2fast import _core

Message = Mapping[str, Any]


def template(path: str | Path) -> tuple[str, dict[str, str]]:
    """The chat template of a model folder or `.gguf` file, and the text of its `bos_token`, `eos_token`, …"""
    path = Path(path)
    if path.suffix == ".gguf":
        return _from_gguf(path)
    config_file, jinja_file = path / "tokenizer_config.json", path / "chat_template.jinja"
    config = json.loads(config_file.read_text("utf-8")) if config_file.is_file() else {}
    source = jinja_file.read_text("utf-8") if jinja_file.is_file() else config.get("chat_template")
    if isinstance(source, list):  # several named templates
        source = {entry["name"]: entry["template"] for entry in source}.get("default")
    if source is None:
        raise ValueError(f"{path} has no chat template: this is no chat model, or call without chat")
    tokens = {}
    for role in ("bos_token", "eos_token", "pad_token", "unk_token"):
        token = config.get(role)
        if token is not None:
            tokens[role] = token["content"] if isinstance(token, dict) else token
    return source, tokens


def _from_gguf(path: Path) -> tuple[str, dict[str, str]]:
    metadata = _core.gguf_metadata(str(path))
    source = metadata.get("tokenizer.chat_template")
    if source is None:
        raise ValueError(f"{path} has no chat template: this is no chat model, or call without chat")
    ids = {"bos_token": "bos", "eos_token": "eos", "pad_token": "padding", "unk_token": "unknown"}
    tokens = {}
    for role, key in ids.items():
        token = metadata.get(f"tokenizer.ggml.{key}_token_id")
        if token is not None:
            tokens[role] = metadata["tokenizer.ggml.tokens"][token]
    return source, tokens


def render(
    source: str, tokens: Mapping[str, str], messages: str | Sequence[Message], now: datetime | None = None
) -> str:
    """Render ``messages`` (a string: one user message) up to where the assistant's answer begins.

    ``now`` is the date that the template is told if it asks; None: the present.
    """
    try:
        import jinja2
        import jinja2.sandbox
    except ImportError as error:
        raise ImportError("chat templates need the package jinja2: pip install 't2fast[decode]'") from error

    def refuse(message: str) -> None:
        raise jinja2.TemplateError(message)

    def to_json(value: Any, indent: int | None = None) -> str:
        return json.dumps(value, ensure_ascii=False, indent=indent)

    environment = jinja2.sandbox.ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
    )
    environment.filters["tojson"] = to_json
    environment.globals |= {
        "raise_exception": refuse,
        "strftime_now": (now or datetime.now()).strftime,
    }
    if isinstance(messages, str):
        messages = [{"role": "user", "content": messages}]
    try:
        compiled = environment.from_string(source)
        return str(compiled.render(messages=messages, add_generation_prompt=True, **tokens))
    except jinja2.TemplateError as error:
        raise ValueError(f"the model's chat template refuses these messages: {error}") from error
