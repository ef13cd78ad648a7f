"""t2fast's engine as a model of inspect-ai (the UK AI Security Institute's framework).

inspect-ai finds this by the entry point of the installed package:

    inspect eval TASK.py --model t2fast/MODEL -M dtype=float32

where MODEL is what `t2fast.decode.load` takes: a folder, a `.gguf` file or a hub id.
"""

from __future__ import annotations

import queue
import threading
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import anyio
from inspect_ai.model import (
    ChatCompletionChoice,
    ChatMessage,
    ChatMessageAssistant,
    GenerateConfig,
    ModelAPI,
    ModelOutput,
    ModelUsage,
    StopReason,
    modelapi,
)
from inspect_ai.tool import ToolChoice, ToolInfo

from t2fast.decode import Engine, load
from t2fast.decode.request import Sampling
from t2fast.decode.samples import Finished

_MAX_TOKENS = 2048
"""Longest text where nobody says, as for inspect's `hf` models."""
_STEP = 256
"""Where a model's positions leave less, in steps of so many, so that texts of one length share the engine."""
_GATHER_SECONDS = 0.01
_POLL_SECONDS = 0.005
_UNKNOWN = ("frequency_penalty", "presence_penalty", "logit_bias", "logprobs", "best_of", "response_schema")


@dataclass
class _Asked:
    """Samples of one prompt that somebody waits for."""

    prompt: str | list[dict[str, str]]
    text: str
    """The prompt as the model reads it."""
    sampling: Sampling
    count: int
    answer: Future[list[Finished]] = field(default_factory=Future)

    @property
    def chat(self) -> bool:
        return not isinstance(self.prompt, str)


@modelapi(name="t2fast")
class T2Fast(ModelAPI):  # type: ignore[misc]
    """A model that this engine loads.

    Requests that wait together are drawn together, and those of one prompt (a task's epochs, `num_choices`)
    share its keys and values. The n-th request of a prompt gets sample n of the problem that the prompt is:
    with one seed, the same samples every time. Chat models get their template; other models get the messages
    as lines of `role: content`, as inspect's `hf` models do.

    Args:
        model_name: as for `t2fast.decode.load`.
        base_url: taken because inspect-ai passes it.
        api_key: likewise.
        config: defaults of generation; without a temperature it is 1, without a seed 0.
        device: cpu or cuda.
        dtype: auto, float32 or bfloat16.
        threads: of the CPU.
        tokenizer: as for `t2fast.decode.load`.
        chat: whether the chat template is used; None: where the model has one.
    """

    def __init__(
        self,
        model_name: str,
        base_url: str | None = None,
        api_key: str | None = None,
        config: GenerateConfig | None = None,
        *,
        device: str | None = None,
        dtype: str = "auto",
        threads: int | None = None,
        tokenizer: str | None = None,
        chat: bool | None = None,
    ):
        super().__init__(model_name, base_url, api_key, [], config or GenerateConfig())
        self.engine = load(model_name, device=device, dtype=dtype, threads=threads, tokenizer=tokenizer)  # type: ignore[arg-type]
        self.chat = self._has_template() if chat is None else chat
        self.now = datetime.now()
        self._worker = _Worker(self.engine, self.now)

    def _has_template(self) -> bool:
        try:
            self.engine.chat_text("")
        except ValueError:
            return False
        return True

    async def generate(
        self,
        input: list[ChatMessage],
        tools: list[ToolInfo],
        tool_choice: ToolChoice,
        config: GenerateConfig,
    ) -> ModelOutput:
        """Draw what is asked for. `ValueError` for tools and settings that this engine does not know."""
        if tools:
            raise ValueError("t2fast's models call no tools: leave them out of the task")
        if unknown := [name for name in _UNKNOWN if getattr(config, name, None)]:
            raise ValueError(f"t2fast's engine does not know {', '.join(unknown)}: leave it out")
        started = time.perf_counter()
        messages = [{"role": message.role, "content": message.text} for message in input]
        if self.chat:
            prompt: str | list[dict[str, str]] = messages
            text = self.engine.chat_text(messages, self.now)
        else:
            prompt = text = "".join(f"{message['role']}: {message['content']}\n" for message in messages)
        read = len(self.engine.tokenizer.encode(text, special=not self.chat))
        room = self.engine.core.model.max_positions - read
        if room < 1:
            empty = [ChatCompletionChoice(message=self._message(""), stop_reason="model_length")]
            return ModelOutput(model=self.model_name, choices=empty, usage=_usage(read, 0))
        room -= room % _STEP if room > _STEP else 0
        asked = _Asked(prompt, text, _sampling(config, room), config.num_choices or 1)
        self._worker.asked.put(asked)
        while not asked.answer.done():
            await anyio.sleep(_POLL_SECONDS)
        drawn = asked.answer.result()
        choices = [
            ChatCompletionChoice(message=self._message(one.text), stop_reason=_reason(one)) for one in drawn
        ]
        return ModelOutput(
            model=self.model_name,
            choices=choices,
            usage=_usage(read, sum(one.length or 0 for one in drawn)),
            time=time.perf_counter() - started,
            metadata={"logprob": [one.logprob for one in drawn]},
        )

    def _message(self, text: str) -> ChatMessageAssistant:
        return ChatMessageAssistant(content=text, model=self.model_name, source="generate")

    def max_tokens(self) -> int:
        """Longest text where a task does not say."""
        return _MAX_TOKENS

    def max_connections(self) -> int:
        """Requests at once: as many as the engine draws together."""
        return 128

    def connection_key(self) -> str:
        """Each model has its own requests."""
        return str(self.model_name)

    async def tokenize(self, text: str) -> list[int]:
        """The model's tokens of a text."""
        return self.engine.tokenizer.encode(text, special=False)

    async def count_text_tokens(self, text: str) -> int:
        """How many tokens a text has."""
        return len(await self.tokenize(text))

    def close(self) -> None:
        """Let the engine's thread go."""
        self._worker.asked.put(None)


def _sampling(config: GenerateConfig, room: int) -> Sampling:
    return Sampling(
        temperature=1.0 if config.temperature is None else config.temperature,
        top_k=config.top_k or 0,
        top_p=1.0 if config.top_p is None else config.top_p,
        max_tokens=min(config.max_tokens or _MAX_TOKENS, room),
        stop=tuple(config.stop_seqs or ()),
        seed=config.seed or 0,
    )


def _usage(read: int, written: int) -> ModelUsage:
    return ModelUsage(input_tokens=read, output_tokens=written, total_tokens=read + written)


def _reason(one: Finished) -> StopReason:
    return "max_tokens" if one.finish_reason == "length" else "stop"


class _Worker:
    """Draws for all who wait, one batch after the other, in a thread of its own."""

    def __init__(self, engine: Engine, now: datetime):
        self.engine, self.now = engine, now
        self.asked: queue.SimpleQueue[_Asked | None] = queue.SimpleQueue()
        self._drawn: Counter[tuple[str, Sampling]] = Counter()
        """Samples of a prompt that were handed out."""
        threading.Thread(target=self._run, name="t2fast", daemon=True).start()

    def _run(self) -> None:
        while (first := self.asked.get()) is not None:
            time.sleep(_GATHER_SECONDS)  # requests that are made together come one after the other
            waiting = [first]
            while not self.asked.empty():
                if (one := self.asked.get()) is None:
                    return
                waiting.append(one)
            for alike in {(one.sampling, one.chat): None for one in waiting}:
                self._answer([one for one in waiting if (one.sampling, one.chat) == alike])

    def _answer(self, waiting: Sequence[_Asked]) -> None:
        """Draw for requests that are sampled alike."""
        sampling, chat = waiting[0].sampling, waiting[0].chat
        prompts: dict[Any, Any] = {one.text: one.prompt for one in waiting}
        greedy = sampling.temperature == 0  # then all samples of a prompt are the same: one will do
        have = {text: self._drawn[text, sampling] for text in prompts}
        wanted = {text: 1 if greedy else have[text] for text in prompts}
        places: list[list[tuple[str, int]]] = []
        for one in waiting:
            first = 0 if greedy else wanted[one.text]
            places.append([(one.text, 0 if greedy else first + i) for i in range(one.count)])
            wanted[one.text] += 0 if greedy else one.count
        found: dict[tuple[Any, int], Finished] = {}

        def finished(one: Finished) -> bool:
            found[one.problem, one.sample] = one
            return False

        try:
            self.engine.each(
                prompts,
                finished,
                sampling,
                k=list(wanted.values()),
                have=[range(count) for count in have.values()],
                chat=chat,
                now=self.now,
            )
            answers = [[found[place] for place in own] for own in places]
        except Exception as error:
            for one in waiting:
                one.answer.set_exception(error)
            return
        if not greedy:
            self._drawn.update({(text, sampling): wanted[text] - have[text] for text in prompts})
        for one, answer in zip(waiting, answers, strict=True):
            one.answer.set_result(answer)
