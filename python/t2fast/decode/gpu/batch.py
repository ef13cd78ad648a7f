"""Which samples share a step on a GPU: the host's side of a batch.

The device works ahead by one window of steps: while it draws one, the host reads what the window before
brought, asks the caller about samples that ended, and decides who leaves and who comes. A row therefore stays
a few steps longer than its sample; what it draws then is thrown away.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from t2fast.decode.gpu.state import DeviceState, Window
from t2fast.decode.request import OnFinish, RawSamples

PROGRESS_SECONDS = 0.05
STOP_TOKEN, STOP_STRING, LENGTH, CANCELLED = "stop_token", "stop_string", "length", "cancelled"


@dataclass
class Job:
    """What to draw; already checked."""

    prompts: list[list[int]]
    keys: list[int]
    samples: list[list[int]]
    """The indices that are to be drawn, ascending."""
    max_tokens: int
    stop_tokens: list[int]
    stop: list[bytes]
    token_bytes: list[bytes]
    rows: int
    """Most samples at once."""
    ahead: int | None
    """Most samples of one problem at once, as in `Request`, unless rows would be idle."""
    keep: bool
    on_finish: OnFinish | None
    progress: Callable[[int], None] | None


@dataclass
class Live:
    """A prompt with samples still to start or to end."""

    start: int
    """Where its keys and values lie in the pool."""
    last: torch.Tensor | None = None
    """The residual stream after its last token, once it is read."""
    started: int = 0
    active: int = 0
    ended: int = 0


@dataclass
class Active:
    """The rows on the device, in their order; one array each."""

    sample: NDArray[np.int64]
    """Index among all samples of the job."""
    problem: NDArray[np.int64]
    slot: NDArray[np.int64]
    position: NDArray[np.int64]
    """Tokens it has once the steps given to the device are done, if it does not end before."""
    seen: NDArray[np.int64]
    """Tokens that are on the host, or on their way."""

    def take(self, which: NDArray[Any]) -> Active:
        """Some of the rows."""
        return Active(*(column[which] for column in self.columns()))

    def and_then(self, others: Active) -> Active:
        """These rows, then the others."""
        return Active(*map(np.concatenate, zip(self.columns(), others.columns(), strict=True)))

    def columns(self) -> tuple[NDArray[np.int64], ...]:
        """Every field, in order."""
        return self.sample, self.problem, self.slot, self.position, self.seen

    def __len__(self) -> int:
        return len(self.sample)


class Pool:
    """Stretches of the prompts' pool."""

    def __init__(self, size: int):
        self.free = [(0, size)]

    def take(self, length: int) -> int | None:
        """Where the first free stretch of that length begins."""
        for i, (start, room) in enumerate(self.free):
            if room >= length:
                self.free[i] = (start + length, room - length)
                return start
        return None

    def give(self, start: int, length: int) -> None:
        """Return a stretch."""
        merged: list[tuple[int, int]] = []
        for at, room in sorted([*self.free, (start, length)]):
            if merged and sum(merged[-1]) == at:
                merged[-1] = (merged[-1][0], merged[-1][1] + room)
            else:
                merged.append((at, room))
        self.free = merged


class Batch:
    """Draws all samples of a job."""

    def __init__(self, job: Job, device: DeviceState, poll: int):
        self.job, self.device, self.poll = job, device, poll
        self.todo = [len(own) for own in job.samples]
        slots, total = min(device.sizes.slots, job.rows), sum(self.todo)
        self.pool = Pool(device.sizes.pool)
        self.free = list(range(slots))[::-1]
        self.next_problem = 0
        self.live: dict[int, Live] = {}
        nobody = np.zeros(0, np.int64)
        self.active = Active(nobody, nobody, nobody, nobody, nobody)
        self.keys = np.array(job.keys, np.uint64)
        self.problem = np.repeat(np.arange(len(self.todo)), self.todo)
        self.index = np.fromiter(chain.from_iterable(job.samples), np.int64, total)
        self.first = np.cumsum([0, *self.todo])
        self.finish = [CANCELLED] * total
        self.stop_index = np.full(total, -1)
        self.results: list[tuple[NDArray[Any], ...] | None] = [None] * total
        self.over = np.zeros(total, bool)
        # What the host has of the samples in the slots: tokens, and the bits of their log-probabilities.
        self.drawn = np.zeros((3, slots, job.max_tokens + poll + 1), np.int32)
        self.known = np.zeros(slots, np.int64)
        self.tails = [b""] * slots
        self.tokens_drawn, self.shown_at = 0, 0.0

    def run(self) -> RawSamples:
        """Draw."""
        interrupted = False
        pending: tuple[Window, Active] | None = None
        try:
            while pending is not None or not self.over.all():
                self._admit()
                launched = self._launch()
                if pending is not None:
                    self._take(*pending)
                pending = launched
        except KeyboardInterrupt:
            interrupted = True
        return self._result(interrupted)

    def _admit(self) -> None:
        """Let the rows go whose samples are over, and fill free slots with new samples."""
        fields: list[NDArray[np.int64]] = []
        admitted: list[tuple[Live, int]] = []
        unread: list[tuple[int, list[int], int]] = []
        while self.free:
            problem = self._waiting()
            if problem is None:
                break
            live = self.live[problem]
            if live.started == 0:
                unread.append((problem, self.job.prompts[problem], live.start))
            count = min(len(self.free), max(self._room(problem), 1))
            slots = [self.free.pop() for _ in range(count)]
            index = live.started + np.arange(count)
            fields.append(np.stack([self.first[problem] + index, np.full(count, problem), slots]))
            admitted.append((live, count))
            live.started += count
            live.active += count
        stays = ~self.over[self.active.sample]
        if not fields and stays.all():
            return
        if unread:
            read = [problem for problem, live in self.live.items() if live.last is not None]
            # The one read last, for prompts that begin alike come one after the other.
            known = (self.job.prompts[read[-1]], self.live[read[-1]].start) if read else None
            for (problem, _, _), last in zip(unread, self.device.read_prompts(unread, known), strict=True):
                self.live[problem].last = last
        sample, problem_of, slot = np.concatenate([np.zeros((3, 0), np.int64), *fields], axis=1)
        self.known[slot] = 0
        for own in slot.tolist():
            self.tails[own] = b""
        kept = self.active.take(stays)
        ones, none = np.ones_like(sample), np.zeros_like(sample)
        new = Active(sample, problem_of, slot, ones, none)
        both = kept.and_then(new)
        order = np.argsort(both.problem, kind="stable")  # a prompt's rows stand together
        self.active = both.take(order)
        self.device.place(np.flatnonzero(stays), self._table(new), [_last(*own) for own in admitted], order)
        if len(self.active):
            self.device.tile(self.active.problem)

    def _waiting(self) -> int | None:
        """A problem with samples to start; none if all are started, or the next has no room yet."""
        waiting = next((problem for problem in self.live if self._room(problem) > 0), None)
        if waiting is not None:
            return waiting
        todo = self.todo
        problem = next((p for p in range(self.next_problem, len(todo)) if todo[p] > 0), None)
        if problem is None:
            self.next_problem = len(todo)
        else:
            start = self.pool.take(len(self.job.prompts[problem]))
            if start is not None:
                self.live[problem] = Live(start)
                self.next_problem = problem + 1
                return problem
        # Rows that would be idle cost a GPU little, so some may go on ahead.
        return next((problem for problem, live in self.live.items() if live.started < todo[problem]), None)

    def _room(self, problem: int) -> int:
        """Samples of a live problem that may start now."""
        live, ahead = self.live[problem], self.job.ahead
        left = self.todo[problem] - live.started
        return left if ahead is None else min(left, max(ahead, live.ended // 2) - live.active)

    def _table(self, new: Active) -> NDArray[np.int32]:
        """The device's rows of new samples."""
        keys = self.keys[new.problem]
        none = np.zeros_like(new.sample)
        index = self.index[new.sample]
        halves = keys & np.uint64(0xFFFFFFFF), keys >> np.uint64(32)
        columns = none, new.slot, new.problem, index, *halves, none, none
        return np.stack([column.astype(np.uint32) for column in columns]).view(np.int32)

    def _launch(self) -> tuple[Window, Active] | None:
        """Send the device its next steps; none if nothing is left to draw."""
        rows = self.active
        if not len(rows):
            return None
        steps = min(self.poll, int((self.job.max_tokens - rows.position).max()))
        if steps == 0 and (rows.seen == rows.position).all():
            return None
        window = self.device.launch(steps, rows.seen, self.poll + 1)
        after = np.minimum(rows.position + steps, self.job.max_tokens)
        self.active = Active(rows.sample, rows.problem, rows.slot, after, after)
        return window, rows

    def _take(self, window: Window, rows: Active) -> None:
        """Read what the device has drawn, and tell the caller whose samples ended."""
        found = window.wait()
        alive = ~self.over[rows.sample]
        length = found[:, 1].astype(np.int64)
        drawn = found[alive, 2:].reshape(-1, 3, window.width).swapaxes(0, 1)
        to = rows.seen[alive, None] + np.arange(window.width)
        self.drawn[:, rows.slot[alive, None], to] = drawn  # what a sample did not draw lies beyond its end
        self.known[rows.slot[alive]] = length[alive]
        self.tokens_drawn += int((length - rows.seen)[alive].sum())
        self._report()
        done = found[:, 0] != 0
        last = self.drawn[0, rows.slot, np.maximum(length - 1, 0)]
        by_token = done & np.isin(last, self.job.stop_tokens)
        fired = np.full(len(rows), -1)
        if self.job.stop:
            for i in np.flatnonzero(alive).tolist():
                end = length[i] - by_token[i]  # a stop token's bytes are not text
                hit = self._stop_string(rows.slot[i], rows.seen[i], end)
                if hit is not None:
                    length[i], fired[i] = hit
        ended = np.flatnonzero(alive & (done | (fired >= 0)))
        # In the order in which they ended; all of one step end before any of them stops its problem.
        step = length - rows.position
        now, stopped = -1, set[int]()
        for i in ended[np.argsort(step[ended], kind="stable")].tolist():
            if step[i] != now:
                self._stop(stopped)
                now, stopped = step[i], set()
            reason = STOP_STRING if fired[i] >= 0 else STOP_TOKEN if by_token[i] else LENGTH
            if not self.over[rows.sample[i]] and self._end(rows, i, int(length[i]), reason, int(fired[i])):
                stopped.add(int(rows.problem[i]))
        self._stop(stopped)

    def _stop_string(self, slot: int, seen: int, end: int) -> tuple[int, int] | None:
        """The sample's length where a stop string is complete, and which: the one that begins first."""
        table, stop = self.job.token_bytes, self.job.stop
        tokens = self.drawn[0, slot, seen:end].tolist()
        text = self.tails[slot] + b"".join([table[token] for token in tokens])
        keep = max(map(len, stop)) - 1
        if not any(s in text for s in stop):
            self.tails[slot] = text[len(text) - keep :] if keep else b""
            return None
        text = self.tails[slot]
        for i, token in enumerate(tokens):
            text += table[token]
            starts = [(text.find(s), j) for j, s in enumerate(stop) if s in text]
            if starts:
                return seen + i + 1, min(starts)[1]
            text = text[max(len(text) - keep, 0) :]
        raise AssertionError("a stop string is in the text and in none of its windows")

    def _end(self, rows: Active, i: int, length: int, reason: str, fired: int) -> bool:
        """A sample ended; the caller hears of it, and says whether to stop its problem."""
        sample, problem, slot = int(rows.sample[i]), int(rows.problem[i]), int(rows.slot[i])
        self.known[slot] = length
        stop = False
        if self.job.on_finish is not None:
            tokens, logprobs = self.drawn[:2, slot, :length].copy()
            told = int(self.index[sample]), tokens.tolist(), logprobs.view(np.float32), reason
            stop = self.job.on_finish(problem, *told)
        self.finish[sample], self.stop_index[sample] = reason, fired
        self.live[problem].ended += 1
        self._leave(sample, problem, slot)
        return bool(stop)

    def _stop(self, problems: set[int]) -> None:
        """Cancel what has not ended of some problems."""
        for problem in problems & self.live.keys():
            self.live[problem].started = self.todo[problem]
            rows = self.active.take((self.active.problem == problem) & ~self.over[self.active.sample])
            for sample, slot in zip(rows.sample.tolist(), rows.slot.tolist(), strict=True):
                self._leave(sample, problem, slot)
            if problem in self.live:
                self._release(problem)
            self.over[self.first[problem] : self.first[problem + 1]] = True

    def _leave(self, sample: int, problem: int, slot: int) -> None:
        """Keep what a sample has and free its slot."""
        self._keep(sample, slot)
        self.over[sample] = True
        self.free.append(slot)
        self.live[problem].active -= 1
        self._release(problem)

    def _keep(self, sample: int, slot: int) -> None:
        if self.job.keep:
            self.results[sample] = tuple(self.drawn[:, slot, : self.known[slot]].copy())

    def _release(self, problem: int) -> None:
        """Give a prompt's stretch of the pool back once its last sample is over."""
        live = self.live[problem]
        if live.active == 0 and live.started == self.todo[problem]:
            self.pool.give(live.start, len(self.job.prompts[problem]))
            del self.live[problem]

    def _report(self) -> None:
        now = time.perf_counter()
        if self.job.progress is not None and now - self.shown_at >= PROGRESS_SECONDS:
            self.shown_at = now
            self.job.progress(self.tokens_drawn)

    def _result(self, interrupted: bool) -> RawSamples:
        nothing = (np.zeros(0, np.int32),) * 3
        rows = self.active.take(~self.over[self.active.sample])
        for sample, slot in zip(rows.sample.tolist(), rows.slot.tolist(), strict=True):
            self._keep(sample, slot)
        kept = len(self.problem) if self.job.keep else 0
        parts = [nothing, *(nothing if own is None else own for own in self.results[:kept])]
        tokens, raw, processed = (np.concatenate(own) for own in zip(*parts, strict=True))
        return {
            "problem": self.problem[:kept],
            "sample": self.index[:kept],
            "offsets": np.cumsum([len(own[0]) for own in parts]),
            "tokens": tokens.view(np.uint32),
            "logprobs": raw.view(np.float32),
            "processed_logprobs": processed.view(np.float32),
            "finish_reason": self.finish[:kept],
            "stop_index": self.stop_index[:kept],
            "interrupted": interrupted,
        }


def _last(live: Live, count: int) -> torch.Tensor:
    """What the first tokens of `count` samples are drawn from."""
    assert live.last is not None  # read before its samples start
    return live.last.expand(count, -1)
