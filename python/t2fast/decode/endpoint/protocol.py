"""OpenAI's completions and chat completions: what is sent, and what comes back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from t2fast.decode.prompts import Problem, is_tokens
from t2fast.decode.request import Sampling


class MalformedError(ValueError):
    """An answer that is none of the protocol: a proxy's page, or cut off in the middle.

    Attributes:
        wrong: what is wrong with it.
        found: all of what was found there.
    """

    def __init__(self, wrong: str, found: str) -> None:
        super().__init__(wrong)
        self.wrong, self.found = wrong, found


@dataclass(frozen=True)
class Choice:
    """A sample as a server gives it."""

    text: str
    reason: str
    """Why it ended, as `Finished.finish_reason` has it."""


@dataclass(frozen=True)
class Reply:
    """What came back for one request."""

    choices: list[Choice]
    prompt_tokens: int | None
    output_tokens: int | None
    """Of all choices; None where the server does not say it, as of the prompt."""
    model: str | None
    """Which model the server says it is."""
    id: str | None


@dataclass(frozen=True)
class Spent:
    """What a request took.

    Attributes:
        problem: which it was for.
        first: index of its first sample.
        samples: how many it brought.
        prompt_tokens: of the prompt, once; None where the server does not say.
        output_tokens: of all its samples; likewise.
        seconds: from asking to the answer.
        retries: failures before.
        model: which model the server says it is.
    """

    problem: str
    first: int
    samples: int
    prompt_tokens: int | None
    output_tokens: int | None
    seconds: float
    retries: int
    model: str | None


def body(
    model: str,
    problem: Problem,
    sampling: Sampling,
    n: int,
    seed: int,
    chat: bool,
    more: Mapping[str, Any],
) -> tuple[str, dict[str, Any]]:
    """The path and the body of a request for n samples.

    What is not OpenAI's (top-k, min-p) goes under the names of vLLM, SGLang and llama.cpp, and only where it
    does something.
    """
    asked: dict[str, Any] = {"model": model}
    if chat:
        path = "/chat/completions"
        text = problem.prompt
        if is_tokens(text):
            raise ValueError(f"problem {problem.id!r}: chat needs text or messages, not tokens")
        asked["messages"] = [{"role": "user", "content": text}] if isinstance(text, str) else list(text)
    else:
        path = "/completions"
        asked["prompt"] = _prompt(problem)
    asked |= {"n": n, "max_tokens": sampling.max_tokens, "temperature": sampling.temperature, "seed": seed}
    if sampling.top_p != 1.0:
        asked["top_p"] = sampling.top_p
    for name in ("top_k", "min_p"):
        if getattr(sampling, name):
            asked[name] = getattr(sampling, name)
    if sampling.stop:
        asked["stop"] = list(sampling.stop)
    if sampling.stop_tokens is not None:
        asked["stop_token_ids"] = list(sampling.stop_tokens)
    asked |= more
    return path, {name: value for name, value in asked.items() if value is not None}


def _prompt(problem: Problem) -> Any:
    if isinstance(problem.prompt, str):
        return problem.prompt
    if is_tokens(problem.prompt):
        return [int(token) for token in problem.prompt]
    raise ValueError(
        f"problem {problem.id!r}: a prompt is text or a list of tokens (messages need chat=True)"
    )


def read(data: Any, n: int, sampling: Sampling) -> Reply:
    """An answer to a request for n samples: of choices with one index the first, and no more than n.

    `MalformedError` if there is none.
    """
    choices = data.get("choices") if isinstance(data, dict) else None
    if not isinstance(choices, list) or not choices or not all(isinstance(one, dict) for one in choices):
        raise MalformedError("no choices in", str(data))
    found: dict[int, Choice] = {}
    for place, one in enumerate(choices):
        index = one.get("index", place)
        found.setdefault(index if isinstance(index, int) else place, _choice(one, sampling))
    usage = data.get("usage")
    usage = usage if isinstance(usage, dict) else {}
    return Reply(
        [found[index] for index in sorted(found)][:n],
        _whole(usage.get("prompt_tokens")),
        _whole(usage.get("completion_tokens")),
        *(value if isinstance(value, str) else None for value in (data.get("model"), data.get("id"))),
    )


def _choice(data: Mapping[str, Any], sampling: Sampling) -> Choice:
    message = data.get("message")
    text = message.get("content") if isinstance(message, dict) else data.get("text")
    if text is None and isinstance(message, dict):
        text = ""  # a refusal, or thoughts alone
    if not isinstance(text, str):
        raise MalformedError("a choice without text:", str(data))
    reason = str(data.get("finish_reason") or "stop")
    if isinstance(data.get("stop_reason"), str):
        reason = "stop_string"
    starts = [at for at in (text.find(stop) for stop in sampling.stop) if at >= 0]
    if starts:  # the server left the stop string there, or went on behind it
        return Choice(text[: min(starts)], "stop_string")
    return Choice(text, reason)


def _whole(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
