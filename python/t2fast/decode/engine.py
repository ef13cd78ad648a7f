"""The engine as Python sees it: prompts in, tables out.

`_core.DecodeEngine`, in Rust, or `GpuEngine` does the work.
"""

from __future__ import annotations

import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from t2fast import _core
from t2fast.decode import chat as chat_templates
from t2fast.decode import text as texts
from t2fast.decode.memory import shortage
from t2fast.decode.prompts import Problem, ProblemId, Prompts, is_tokens, problems, same_length
from t2fast.decode.rendering import Renderer, Stream
from t2fast.decode.request import Backend, Request, Sampling, given
from t2fast.decode.samples import (
    Finished,
    Samples,
    distinct,
    problem_column,
    require_numbers,
    samples_table,
)
from t2fast.decode.successes import AHEAD, FirstCorrect, Verify
from t2fast.kernels.rng import hash64
from t2fast.progress import Bar


class Engine:
    """A loaded model. Made by `t2fast.decode.load`."""

    def __init__(self, core: Backend, *, name: str, path: Path, tokenizer_path: Path):
        self.core = core
        """The engine for work on tokens, in Rust or on a GPU; its ``model`` has the sizes (``n_params``,
        ``vocab``, …)."""
        self.name = name
        self.path = path
        self._tokenizer_path = tokenizer_path

    def __repr__(self) -> str:
        core, model = self.core, self.core.model
        return (
            f"Engine({self.name!r}: {model.architecture}, {model.n_params:,} parameters, {core.dtype}, "
            f"{core.kernel}, {core.where})"
        )

    @cached_property
    def tokenizer(self) -> texts.Tokenizer:
        """The model's tokenizer, read at first use."""
        found, rows = texts.load(self._tokenizer_path), self.core.model.vocab
        if found.size > rows:
            warnings.warn(
                f"{self._tokenizer_path} has {found.size:,} tokens and the model {rows:,}: is it this "
                "model's? Prompts that need the others are refused",
                stacklevel=2,
            )
        return found

    @cached_property
    def _token_bytes(self) -> list[bytes]:
        """The bytes of every row of the output head; rows beyond the tokenizer's vocabulary are padding."""
        table = self.tokenizer.token_bytes
        table = table + [b""] * (self.core.model.vocab - len(table))
        self.core.set_vocabulary(table)
        return table

    def sample(
        self,
        prompts: Prompts,
        sampling: Sampling | None = None,
        *,
        k: int | Iterable[int] = 64,
        verify: Verify | None = None,
        chat: bool = False,
        now: datetime | None = None,
        stream: Callable[[str], None] | None = None,
        first_sample: int = 0,
        max_rows: int | None = None,
        progress: bool | None = None,
        temperature: float | None = None,
        top_k: int | None = None,
        top_p: float | None = None,
        min_p: float | None = None,
        max_tokens: int | None = None,
        stop: str | Sequence[str] | None = None,
        stop_tokens: Sequence[int] | None = None,
        seed: int | None = None,
    ) -> Samples:
        """Draw ``k`` samples from each prompt.

        Ctrl-C ends sampling: what is finished is returned with ``interrupted`` set, and a warning is given.

        Args:
            prompts: one prompt or several, each text, a list of tokens or, with ``chat``, text or a list of
                messages; as a sequence, a sequence of ``(problem id, prompt)`` or a mapping from id to
                prompt. Ids are positions unless given; a sample depends on its problem's id.
            sampling: how tokens are chosen and when a sample ends; its fields can also be given one by one.
                Sample i of a problem is a function of these, its id and i.
            k: samples for each prompt, one number or one for each. Greedy samples are all the same: one
                is drawn, and a warning says so.
            verify: called as ``verify(problem id, text)`` for each finished sample; once a sample is right
                and those before it are finished, the problem's remaining samples are cancelled. See
                `Samples.counts`.
            chat: put prompts through the model's chat template; the token that closes a turn there ends a
                sample, too.
            now: the date that a chat template may ask for; None: the present.
            stream: called with each piece of text as it is drawn, on the CPU, for one sample of one prompt.
            first_sample: index of the first sample, to go on where an earlier run stopped.
            max_rows: most samples decoded at once (None: the engine's choice); changes memory and speed
                alone.
            progress: a bar on stderr; None: where stderr is a terminal.
            temperature: in place of that of ``sampling``, like the next seven; 0 takes the most
                probable token every time.
            top_k: keep so many of the most probable tokens; 0 keeps all.
            top_p: then the fewest whose mass reaches this.
            min_p: then those with at least this times the largest probability.
            max_tokens: longest sample, in tokens.
            stop: a string that ends a sample, or several.
            stop_tokens: tokens that end a sample.
            seed: of all samples.

        Returns:
            The samples, in the order of prompts and index.

        Raises:
            ValueError: for prompts, settings or combinations of them that make no sense, naming them.
        """
        chosen = given(
            temperature=temperature,
            top_k=top_k,
            top_p=top_p,
            min_p=min_p,
            max_tokens=max_tokens,
            stop=stop,
            stop_tokens=stop_tokens,
            seed=seed,
        )
        sampling = replace(sampling or Sampling(), **chosen)
        found = problems(prompts)
        counts = same_length(k, len(found), "k")
        for name, value, least in (("k", min(counts), 1), ("first_sample", first_sample, 0)):
            if value < least:
                raise ValueError(f"{name} must be at least {least}, not {value}")
        if sampling.temperature == 0 and max(counts) > 1:
            warnings.warn(
                f"temperature 0 takes the most probable token every time: one sample of each problem is "
                f"drawn, not {max(counts)} that are the same",
                stacklevel=2,
            )
            counts = [1] * len(found)
        request = self._request(found, sampling, counts, chat, now)
        stop = sampling.stop
        wants_text = bool(stop) or verify is not None or not all(is_tokens(p.prompt) for p in found)
        render = self._renderer(stop) if wants_text else None
        if stream is not None and (counts != [1] or render is None):
            raise ValueError("stream is for one sample (k=1) of one prompt that is text")
        stopper = FirstCorrect(found, verify, render, first_sample) if verify and render else None
        ahead = None if stopper is None else AHEAD
        request = replace(request, first_sample=first_sample, max_rows=max_rows, ahead=ahead)
        if isinstance(self.core, _core.DecodeEngine):
            lacking = shortage(self.core.token_bytes, request)
            if lacking is not None:
                warnings.warn(lacking, stacklevel=2)
        started = time.perf_counter()
        with Bar(sum(counts), progress, "samples", counted=True) as bar:

            def on_finish(problem: int, sample: int, drawn: list[int], _: Any, reason: str) -> bool:
                bar.advance(1)
                return stopper is not None and stopper.finished(problem, sample, drawn, reason)

            def show_rate(tokens: int) -> None:
                bar.rate(f"{tokens / max(time.perf_counter() - started, 1e-9):,.0f} tokens/s")

            flow = Stream(render, stream) if stream is not None and render is not None else None
            raw = self.core.sample(
                request,
                on_finish=on_finish if stopper is not None or bar.shown else None,
                on_token=flow,
                progress=show_rate,
            )
        table = samples_table(raw, found, render, stop)
        if flow is not None:
            flow.end(table["text"][0])
        if stopper is not None:
            table = table.with_columns(correct=stopper.column(raw))
        if raw["interrupted"]:
            warnings.warn("sampling was interrupted: unfinished samples are marked cancelled", stacklevel=2)
        return Samples(
            table=table,
            model=self.name,
            n_params=self.core.model.n_params,
            dtype=self.core.dtype,
            kernel=self.core.kernel,
            sampling=sampling,
            until_successes=None if stopper is None else 1,
            interrupted=raw["interrupted"],
        )

    def each(
        self,
        prompts: Prompts,
        finished: Callable[[Finished], bool],
        sampling: Sampling,
        *,
        k: int | Iterable[int],
        have: Sequence[Sequence[int]] = (),
        ahead: int | None = None,
        chat: bool = False,
        now: datetime | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> bool:
        """Draw samples and hand on each as it ends, so that none need be kept.

        Args:
            prompts: as for `sample`.
            finished: called with every sample that ended, in no certain order; True ends its problem, and
                what was begun of that is not handed on.
            sampling: how tokens are chosen and when a sample ends.
            k: samples for each prompt, one number or one for each.
            have: of each prompt, the samples that are there already, ascending; those are not drawn again.
            ahead: most samples of a prompt drawn at once, while no more than twice as many have ended; for
                where `finished` may end a problem. None: as many as there are rows.
            chat: put prompts through the model's chat template.
            now: the date that a chat template may ask for; None: the present.
            progress: called now and then with the tokens drawn so far.

        Returns:
            Whether all was drawn; False after Ctrl-C.

        Raises:
            ValueError: as `sample` does.
        """
        found = problems(prompts)
        request = self._request(found, sampling, same_length(k, len(found), "k"), chat, now)
        render = self._renderer(sampling.stop)

        def on_finish(
            problem: int, sample: int, tokens: list[int], logprobs: NDArray[np.float32], reason: str
        ) -> bool:
            require_numbers(found[problem].id, logprobs)
            text = render(tokens, reason == "stop_string")
            logprob = float(logprobs.sum(dtype=np.float64))
            return finished(Finished(found[problem].id, sample, text, len(tokens), logprob, reason))

        request = replace(request, have=have, ahead=ahead, keep=False)
        raw = self.core.sample(request, on_finish=on_finish, progress=progress)
        return not raw["interrupted"]

    def tally(
        self, prompts: Prompts, sampling: Sampling, *, k: int | Iterable[int]
    ) -> dict[ProblemId, Counter[str]]:
        """Draw samples of which only the texts matter: of each prompt the distinct ones, and how often.

        They are those of `sample`, at a part of its cost: nothing is rendered twice, and no sample is kept.

        Args:
            prompts: as for `sample`; text.
            sampling: how tokens are chosen and when a sample ends.
            k: samples for each prompt, one number or one for each.

        Returns:
            By problem id, the texts and how many samples have each.

        Raises:
            ValueError: as `sample` does.
            KeyboardInterrupt: after Ctrl-C.
        """
        found = problems(prompts)
        request = self._request(found, sampling, same_length(k, len(found), "k"), False, None)
        render = self._renderer(sampling.stop)
        raw = self.core.sample(request)
        if raw["interrupted"]:
            raise KeyboardInterrupt
        if np.isnan(raw["logprobs"]).any():
            for row, (a, b) in zip(raw["problem"].tolist(), pairwise(raw["offsets"].tolist()), strict=True):
                require_numbers(found[row].id, raw["logprobs"][a:b])
        texts: dict[ProblemId, Counter[str]] = {problem.id: Counter() for problem in found}
        for (row, drawn, reason), count in distinct(raw).items():
            tokens = np.frombuffer(drawn, dtype=np.uint32).tolist()
            texts[found[row].id][render(tokens, reason == "stop_string")] += count
        return texts

    def _renderer(self, stop: Sequence[str]) -> Renderer:
        return Renderer(self._token_bytes, self.tokenizer.special, stop)

    def _request(
        self,
        found: list[Problem],
        sampling: Sampling,
        counts: list[int],
        chat: bool,
        now: datetime | None,
    ) -> Request:
        return Request(
            prompts=[self._encode(problem, chat, now) for problem in found],
            keys=[hash64(sampling.seed, problem.id) for problem in found],
            k=counts,
            sampling=self._with_turn_end(sampling) if chat else sampling,
        )

    def _with_turn_end(self, sampling: Sampling) -> Sampling:
        """With the model's own stop tokens, the one that closes a turn in its chat template."""
        if sampling.stop_tokens is not None:
            return sampling
        return replace(sampling, stop_tokens=tuple(dict.fromkeys((*self.core.model.eos, *self._turn_ends))))

    @cached_property
    def _turn_ends(self) -> tuple[int, ...]:
        """The token that closes a turn in the chat template; files often leave it out of their own list."""
        added = self.tokenizer.added
        end = self._chat_template.turn_end(added)
        return () if end is None else (added[end],)

    def score(
        self,
        prompts: Prompts,
        answers: Sequence[Sequence[str | Sequence[int]]] | Mapping[ProblemId, Sequence[str | Sequence[int]]],
        *,
        chat: bool = False,
        now: datetime | None = None,
    ) -> pl.DataFrame:
        """Log-likelihood of given answers. A prompt is read once for all its answers.

        Args:
            prompts: as for `sample`.
            answers: the answers of each prompt, in the prompts' order or by problem id; each is text or
                tokens.
            chat: put prompts through the model's chat template.
            now: the date that a chat template may ask for; None: the present.

        Returns:
            One row an answer: ``problem``, ``answer`` (its index), ``n_tokens``, ``logprob`` (natural log,
                summed
            over the answer's tokens), ``probability`` (its exponential: the chance that one sample at
            temperature 1 begins with this answer) and ``logprobs`` (each token's).

        Raises:
            ValueError: for answers that are empty, or do not go with the prompts.
        """
        found = problems(prompts)
        listed = [answers[p.id] for p in found] if isinstance(answers, Mapping) else list(answers)
        if len(listed) != len(found):
            raise ValueError(f"answers has {len(listed)} entries for {len(found)} prompts")
        tokens = [self._encode(problem, chat, now) for problem in found]
        encoded = [
            [self._encode_answer(problem, prompt, answer, chat, now) for answer in own]
            for problem, prompt, own in zip(found, tokens, listed, strict=True)
        ]
        scored = self.core.score(tokens, encoded)
        rows = [(row, i, values) for row, own in enumerate(scored) for i, values in enumerate(own)]
        for row, _, values in rows:
            require_numbers(found[row].id, values)
        logprob = np.array([values.sum(dtype=np.float64) for _, _, values in rows])
        return pl.DataFrame(
            [
                problem_column(found, [row for row, _, _ in rows]),
                pl.Series("answer", [i for _, i, _ in rows], dtype=pl.Int64),
                pl.Series("n_tokens", [len(values) for _, _, values in rows], dtype=pl.Int64),
                pl.Series("logprob", logprob, dtype=pl.Float64),
                pl.Series("probability", np.exp(logprob), dtype=pl.Float64),
                pl.Series("logprobs", [values.tolist() for _, _, values in rows], dtype=pl.List(pl.Float32)),
            ]
        )

    @cached_property
    def _chat_template(self) -> chat_templates.ChatTemplate:
        return chat_templates.template(self.path)

    def chat_text(self, messages: Any, now: datetime | None = None) -> str:
        """A chat as the model's template writes it, up to where the answer begins.

        Args:
            messages: text, or a list of messages with role and content.
            now: the date that a template may ask for; None: the present.

        Returns:
            The text.
        """
        return self._chat_template.render(messages, now)

    def _encode(self, problem: Problem, chat: bool, now: datetime | None) -> list[int]:
        prompt = problem.prompt
        if is_tokens(prompt):
            if chat:
                raise ValueError(
                    f"problem {problem.id!r}: a chat template needs text or messages, not tokens"
                )
            return self._checked(problem, prompt)
        name = f"problem {problem.id!r}"
        if chat:
            tokens = self.tokenizer.encode(self.chat_text(prompt, now), special=False, name=name)
            if not tokens:
                origin = self._chat_template.origin
                raise ValueError(f"{origin}: the chat template writes nothing for problem {problem.id!r}")
        elif isinstance(prompt, str):
            tokens = self.tokenizer.encode(prompt, name=name)
        else:
            raise ValueError(
                f"problem {problem.id!r}: a prompt is text or a list of tokens (messages need chat=True)"
            )
        if not tokens:
            raise ValueError(
                f"problem {problem.id!r}: the prompt is empty and this model adds no token before it"
            )
        return tokens

    def _checked(self, problem: Problem, tokens: Iterable[int]) -> list[int]:
        listed = [int(token) for token in tokens]
        for token in listed:
            if not 0 <= token < (vocab := self.core.model.vocab):
                raise ValueError(
                    f"problem {problem.id!r}: token {token} is outside the vocabulary of {vocab}"
                )
        return listed

    def _encode_answer(
        self, problem: Problem, prompt: list[int], answer: Any, chat: bool, now: datetime | None
    ) -> list[int]:
        name = f"problem {problem.id!r}"
        if isinstance(answer, str):
            if is_tokens(problem.prompt):
                tokens = self.tokenizer.encode(answer, special=False, name=name)
            elif chat:
                tokens = self.tokenizer.encode_answer(
                    self.chat_text(problem.prompt, now), prompt, answer, special=False, name=name
                )
            else:
                tokens = self.tokenizer.encode_answer(problem.prompt, prompt, answer, name=name)
        else:
            tokens = self._checked(problem, answer)
        if not tokens:
            raise ValueError(f"problem {problem.id!r}: an answer is empty; it has no likelihood of its own")
        return tokens
