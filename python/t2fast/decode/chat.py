"""Chat templates: from a list of messages to the text a chat model was trained on.

The template comes with the model and is not trusted: it is rendered apart (`sandbox`), with the functions and
variables that transformers gives to templates. Needs the package `jinja2`.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from t2fast import _core
from t2fast.decode import sandbox

Message = Mapping[str, Any]

ROLES = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")
"""What a tokenizer's special tokens can be for, in transformers' order."""
_REASONING = ("reasoning_content", "thinking", "reasoning")
"""Names under which messages have the reasoning before an answer."""
_MARK = "xqzw"
"""Stands for an answer, where a template is asked how it closes one: a word that no template holds."""


@dataclass(frozen=True)
class ChatTemplate:
    """A template, the text of the special tokens that it may name, and where it was found."""

    source: str
    tokens: Mapping[str, str]
    origin: str

    def render(
        self,
        messages: str | Sequence[Message],
        now: datetime | None = None,
        *,
        add_generation_prompt: bool = True,
    ) -> str:
        """``messages`` (a string: one user message) up to where the assistant's answer begins.

        ``now`` is the date that the template is told if it asks; None: the present.

        Raises:
            ValueError: whatever goes wrong in the template, in one line that names it; also where it takes
                ten seconds or a GiB of memory.
        """
        if isinstance(messages, str):
            messages = [{"role": "user", "content": messages}]
        given = list(messages) if isinstance(messages, Sequence) else [messages]
        listed = [one for one in given if isinstance(one, Mapping)]
        if not isinstance(messages, Sequence) or len(listed) != len(given):
            raise ValueError(f"a chat is text or a list of messages with role and content: {messages!r:.60}")
        values = {
            "messages": [_normal(message) for message in listed],
            "tools": None,
            "documents": None,
            "add_generation_prompt": add_generation_prompt,
            **self.tokens,
        }
        try:
            return sandbox.render(self.source, values, (now or datetime.now()).isoformat())
        except ValueError as error:
            raise ValueError(f"{self.origin}: the chat template{error}") from None

    def turn_end(self, added: Iterable[str]) -> str | None:
        """Which of the tokens ``added`` to the vocabulary closes the assistant's turn; None: none does."""
        answer = [{"role": "user", "content": _MARK.upper()}, {"role": "assistant", "content": _MARK}]
        for messages in (answer, [*answer, {"role": "user", "content": _MARK.upper()}]):
            try:
                text = self.render(messages, add_generation_prompt=False)
            except ValueError:
                return None
            tail = text.rpartition(_MARK)[2].lstrip()
            closing = [token for token in added if token and tail.startswith(token)]
            if closing:
                return max(closing, key=len)
        return None


def _normal(message: Message) -> dict[str, Any]:
    """A message without keys that say nothing, its reasoning under each name that templates read."""
    kept = {key: value for key, value in message.items() if value is not None}
    reasoning = next((kept[name] for name in _REASONING if name in kept), None)
    return kept if reasoning is None else {"thinking": reasoning, **kept, "reasoning_content": reasoning}


def template(path: str | Path) -> ChatTemplate:
    """The chat template of a model folder or `.gguf` file.

    In a folder `chat_template.jinja` goes before `tokenizer_config.json`, as in transformers, and
    `chat_template.json`, which belongs to models that read images as well, comes last.
    """
    path = Path(path)
    if path.suffix == ".gguf":
        return _from_gguf(path)
    jinja_file = path / "chat_template.jinja"
    found = [(jinja_file, _text(jinja_file) if jinja_file.is_file() else None)]
    for name in ("tokenizer_config.json", "chat_template.json"):
        found.append((path / name, _named(path / name, read_json(path / name).get("chat_template"))))
    origin, source = next(((file, text) for file, text in found if text is not None), (path, None))
    others = [file.name for file, text in found if text is not None and text != source]
    if others:
        warnings.warn(
            f"{path}: chat templates differ: {origin.name}'s is used, not that of {', '.join(others)}",
            stacklevel=2,
        )
    if source is None:
        raise ValueError(f"{path} has no chat template: this is no chat model, or call without chat")
    if not isinstance(source, str):
        raise ValueError(f"{origin}: chat_template is {source!r:.60}, not text")
    return ChatTemplate(source, special_tokens(path), str(origin))


def _named(file: Path, source: Any) -> Any:
    """The template to take where there are several, by name."""
    if isinstance(source, list):
        try:
            source = {entry["name"]: entry["template"] for entry in source}
        except (KeyError, TypeError) as error:
            raise ValueError(f"{file}: chat_template is a list, and not of names and templates") from error
    if not isinstance(source, dict):
        return source
    if "default" not in source:
        names = ", ".join(map(repr, source))
        raise ValueError(f"{file}: none of the chat templates is called 'default': {names}")
    return source["default"]


def special_tokens(folder: Path) -> dict[str, str]:
    """The text of `bos_token`, `eos_token`, … in a model folder.

    As in transformers, `special_tokens_map.json` goes before `tokenizer_config.json` unless the latter lists
    its tokens by id (`added_tokens_decoder`); a token that one of them lacks is taken from the other.
    """
    config, old = read_json(folder / "tokenizer_config.json"), read_json(folder / "special_tokens_map.json")
    both = {**old, **config} if "added_tokens_decoder" in config else {**config, **old}
    tokens = {}
    for role, token in both.items():
        if role.endswith("_token"):
            text = token.get("content") if isinstance(token, dict) else token
            if isinstance(text, str):
                tokens[role] = text
    return tokens


def _text(file: Path) -> str:
    try:
        text = file.read_text("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{file}: not UTF-8 ({error})") from error
    if text.startswith("version https://git-lfs.github.com/"):
        raise ValueError(
            f"{file}: is a pointer that Git LFS left in place of the file: fetch it (git lfs pull)"
        )
    return text


def read_json(file: Path) -> dict[str, Any]:
    """The object in a JSON file; empty where there is no such file."""
    if not file.is_file():
        return {}
    text = _text(file)
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{file}: not JSON ({error})") from error
    if not isinstance(found, dict):
        raise ValueError(f"{file}: a {type(found).__name__} where an object is expected")
    return found


def _from_gguf(path: Path) -> ChatTemplate:
    metadata = _core.gguf_metadata(str(path))
    source = metadata.get("tokenizer.chat_template")
    if source is None:
        raise ValueError(f"{path} has no chat template: this is no chat model, or call without chat")
    if not isinstance(source, str):
        raise ValueError(f"{path}: tokenizer.chat_template is {source!r:.60}, not text")
    names = dict(zip(ROLES, ("bos", "eos", "unknown", "seperator", "padding", "cls", "mask"), strict=True))
    listed = metadata.get("tokenizer.ggml.tokens") or []
    tokens = {}
    for role, name in names.items():
        key = f"tokenizer.ggml.{name}_token_id"
        token = metadata.get(key)
        if token is not None:
            if not isinstance(token, int) or not 0 <= token < len(listed):
                raise ValueError(f"{path}: {key} is {token!r}, outside the vocabulary of {len(listed)}")
            tokens[role] = listed[token]
    return ChatTemplate(source, tokens, f"{path}, tokenizer.chat_template")
