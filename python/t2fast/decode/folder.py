"""The tokenizer of a model folder: `tokenizer.json`, and the tokens that only the files beside it name.

Needs the package `tokenizers`, and only here.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from t2fast.decode.chat import ROLES, read_json, special_tokens
from t2fast.decode.vocabulary import tokenizers_package

if TYPE_CHECKING:
    import tokenizers

_FLAGS = ("special", "lstrip", "rstrip", "normalized", "single_word")
"""How a token is found in text."""


def tokenizer(path: Path) -> tokenizers.Tokenizer:
    """The tokenizer of a folder or of one `tokenizer.json`, which alone says how text is cut and merged.

    In a folder, `tokenizer_config.json`, `special_tokens_map.json` and `added_tokens.json` may name more
    tokens that are found in text before anything is merged: those are added, as transformers does.

    Raises:
        ValueError: naming the file that cannot be read.
    """
    file = path / "tokenizer.json" if path.is_dir() else path
    if not file.is_file():
        raise ValueError(
            f"{path} has no tokenizer.json: pass tokenizer= or give prompts as lists of tokens "
            "(transformers' AutoTokenizer writes one from older files with save_pretrained)"
        )
    try:
        backend: tokenizers.Tokenizer = tokenizers_package().Tokenizer.from_file(str(file))
    except ImportError:
        raise
    except Exception as error:  # the package raises plain Exceptions
        read_json(file)  # what is wrong with every JSON file is said in our words
        raise ValueError(f"{file}: {' '.join(str(error).split())}") from error
    ids = backend.get_vocab()
    last = max(ids, key=ids.__getitem__, default="")
    if ids and ids[last] > 4 * len(ids) + 1000:
        raise ValueError(f"{file}: token {last!r:.60} has id {ids[last]} among {len(ids)} tokens")
    # Settings of training that the file may still carry: a prompt is never cut, padded or randomised.
    backend.no_truncation()
    backend.no_padding()
    if getattr(backend.model, "dropout", None):
        backend.model.dropout = None
    if path.is_dir():
        config = read_json(path / "tokenizer_config.json")
        _add_tokens(backend, path, config)
        _compare(backend, path, config)
    return backend


def _add_tokens(backend: Any, folder: Path, config: Mapping[str, Any]) -> None:
    """Add what `tokenizer.json` lacks: first the tokens listed by id, then those that have a role."""
    there = {token.content: token for token in backend.get_added_tokens_decoder().values()}
    named = special_tokens(folder)
    names = {*named.values(), *_more_special(folder, config)}
    for place, id_, token in _listed(folder, config, names):
        token.special = token.special or token.content in names
        if repr(there.get(token.content)) == repr(token):
            continue
        backend.add_special_tokens([token]) if token.special else backend.add_tokens([token])
        there[token.content] = token
        got = backend.token_to_id(token.content)
        if got != id_:
            warnings.warn(
                f"{place}: token {token.content!r} has id {id_} there, and gets {got}", stacklevel=4
            )
    # Where tokens are listed by id transformers does not read special_tokens_map.json.
    lost = {named[role] for role in named if "added_tokens_decoder" in config and role not in config}
    in_order = sorted(named, key=lambda role: ROLES.index(role) if role in ROLES else len(ROLES))
    for content in (*(named[role] for role in in_order), *_more_special(folder, config)):
        unknown = content in lost and backend.token_to_id(content) is None
        if content and content not in there and not unknown:
            there[content] = tokenizers_package().AddedToken(content, special=True, normalized=False)
            backend.add_special_tokens([there[content]])


def _listed(folder: Path, config: Mapping[str, Any], names: set[str]) -> Iterator[tuple[Path, int, Any]]:
    """Tokens that the files list by id: file, id, token."""
    package = tokenizers_package()
    place = folder / "tokenizer_config.json"
    try:
        if "added_tokens_decoder" in config:
            by_id = {int(id_): token for id_, token in config["added_tokens_decoder"].items()}
            for id_ in sorted(by_id):
                flags = {flag: by_id[id_][flag] for flag in _FLAGS if flag in by_id[id_]}
                yield place, id_, package.AddedToken(by_id[id_]["content"], **flags)
            return
        place = folder / "added_tokens.json"  # older files
        for content, id_ in sorted(read_json(place).items(), key=lambda pair: int(pair[1])):
            special = content in names
            yield place, int(id_), package.AddedToken(content, special=special, normalized=not special)
    except (TypeError, ValueError, AttributeError, KeyError) as error:
        why = f"{type(error).__name__}: {' '.join(str(error).split())}"
        raise ValueError(f"{place}: added tokens: {why}") from error


def _more_special(folder: Path, config: Mapping[str, Any]) -> list[str]:
    """Special tokens without a role of their own."""
    found: list[str] = []
    old = {} if "added_tokens_decoder" in config else read_json(folder / "special_tokens_map.json")
    for source in (config, old):
        for key in ("additional_special_tokens", "extra_special_tokens"):
            value = source.get(key) or []
            for token in value.values() if isinstance(value, Mapping) else value:
                found.append(token.get("content", "") if isinstance(token, Mapping) else str(token))
    return list(dict.fromkeys(found))


def _compare(backend: Any, folder: Path, config: Mapping[str, Any]) -> None:
    """Say where `tokenizer_config.json` asks for what `tokenizer.json`, which is followed, does not do."""
    if config.get("split_special_tokens") is True:
        warnings.warn(
            f"{folder}: tokenizer_config.json asks for special tokens to be cut like text "
            "(split_special_tokens): they are not, since chat templates need them whole",
            stacklevel=4,
        )
    plain = backend.encode("a", add_special_tokens=False)
    whole = backend.encode("a").ids
    adds_bos = bool(plain.ids) and whole[: len(plain.ids)] != plain.ids
    spaced = bool(plain.tokens) and plain.tokens[0][:1] in ("▁", "Ġ")
    for key, does, what in (
        ("add_bos_token", adds_bos, "a beginning-of-text token before every prompt"),
        ("add_prefix_space", spaced, "a space before every prompt"),
    ):
        asked = config.get(key)
        if isinstance(asked, bool) and asked != does:
            warnings.warn(
                f"{folder}: tokenizer_config.json asks for {what if asked else 'no ' + what[2:]} ({key}), "
                f"tokenizer.json {'puts one' if does else 'has none'}: tokenizer.json is followed",
                stacklevel=4,
            )
