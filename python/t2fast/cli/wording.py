"""Messages of the library in the words of the command line: options in place of arguments."""

from __future__ import annotations

import ast
import re
import shlex

_NAMES = {
    "chinchilla (tokens per parameter)": "--chinchilla",
    "n_params minimum": "--min-params",
    "n_params maximum": "--max-params",
    "n_tokens minimum": "--min-tokens",
    "n_tokens maximum": "--max-tokens",
}
"""Arguments that options have another name for."""
_OPTIONS = (
    "model|models|columns|price_columns|scorer|metric|filter|answer|correct_at|task|stage|where|errors|duplicates|missing|"
    "level|draws|seed|ks|method|aggregate|losses|train_flops|inference_flops|total_flops|extrapolate|"
    "max_k|integer_k|prompt_tokens|output_tokens|queries|target|budget|usd|per_query|latency|max_chips|confidence|"
    "new_problems|harm|device|batch|mfu|mbu|unique_tokens|true_positive|false_positive|chinchilla|"
    "within"
)
_TEXT = r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*\""""
_MAPPING = re.compile(rf"\b({_OPTIONS})=\{{((?:{_TEXT}|[^{{}}'\"])*)\}}")
_PRICES = re.compile(r"read_prices\(…, columns=(\{[^{}]*\})\)")
_CHOSEN = r"(?<!--where )(?<!--columns )"  # columns there, whatever they are called
_QUOTED = re.compile(rf"{_CHOSEN}(?<![\w./-])({_OPTIONS})= ?(?:'([^']*)'|\"([^\"]*)\")")
_BARE = re.compile(rf"{_CHOSEN}(?<![\w./-])({_OPTIONS})=(?=[\s,.:;)(]|$)")
_NUMBER = re.compile(rf"{_CHOSEN}(?<![\w./-])({_OPTIONS})=(?=[\d.])")
_ENDS = "|".join(re.escape(name) for name in _NAMES)
_SUBJECT = re.compile(rf"^({_OPTIONS}|{_ENDS})(?= is \S+: )")  # what a refusal begins with
_VALUES = re.compile(r"k\[\d+\] = ")
_ENTRY = re.compile(r"^k must be (.+); got (k\[\d+\] = .+)")
_LISTS = re.compile(r"^(n_params|n_tokens|k)\[\d+\](?= is )")
_LISTED = {"n_params": "--sizes", "n_tokens": "--tokens", "k": "--k"}
_LEADS = re.compile(r"^(unique_tokens)(?=: )")
_RANGE = re.compile(r"^n_(params|tokens)(?= runs from )")
_GROUPS = re.compile(r"(, take each by itself by )groups\('([^']*)'\)")
_TWICE = re.compile(r"(--[\w-]+)( \(\1 [A-Z]+\))")
_ERRNO = re.compile(r"^\[Errno \d+\] ([^:]+): '(.*)'$")
_NAMELESS = re.compile(r"^\[Errno \d+\] ([^:]+)$")  # which of the files that have no name but what is printed


def own_words(message: str, groups: bool = False) -> str:
    """`message` with `columns={'a': 'b'}` as `--columns a=b`, `stage=` as `--stage`, and so on.

    `groups` says whether the command has `--group-by`, as a table has `groups()`.
    """
    message = _GROUPS.sub(lambda found: f"{found[1]}--group-by {found[2]}" if groups else "", message)
    message = _ERRNO.sub(lambda found: f"{found[2]}: {found[1].lower()}", message)
    message = _NAMELESS.sub(lambda found: f"what is printed cannot be written: {found[1].lower()}", message)
    message = _PRICES.sub(lambda found: f"price_columns={found[1]}", message)
    message = _MAPPING.sub(lambda found: f"{_option(found[1])} {_pairs(found[2])}", message)
    message = _ENTRY.sub(lambda found: f"-k must be {found[1]}; got {_VALUES.sub('', found[2])}", message)
    message = _QUOTED.sub(lambda found: f"{_option(found[1])} {found[2] or found[3] or ''}", message)
    message = _NUMBER.sub(lambda found: f"{_option(found[1])} ", message)
    message = _LEADS.sub(lambda found: _option(found[1]), message)
    message = _LISTS.sub(lambda found: _LISTED[found[1]], message)
    message = _RANGE.sub(lambda found: f"--min-{found[1]} to --max-{found[1]}", message)
    message = _SUBJECT.sub(lambda found: _option(found[1]), message)
    message = _BARE.sub(lambda found: _option(found[1]), message)
    return _TWICE.sub(r"\1", message)


def _option(name: str) -> str:
    return _NAMES.get(name, f"--{name.replace('_', '-')}")


def _pairs(content: str) -> str:
    """`'a': 'b'` as `a=b`, in quotes where a shell wants them."""
    try:
        named = ast.literal_eval(f"{{{content}}}")
    except (ValueError, SyntaxError):
        named = None
    if isinstance(named, dict):
        text = ",".join(f"{name}={value}" for name, value in named.items())
        return text if "…" in text else shlex.quote(text)
    pairs = [pair.split(":", 1) for pair in content.split(", ")]
    return ",".join("=".join(part.strip().strip("'\"") for part in pair) for pair in pairs)
