"""A model behind a server: the samples of many problems, many requests at once."""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from t2fast.decode.endpoint import protocol
from t2fast.decode.endpoint.client import Answered, Client, Endpoint
from t2fast.decode.endpoint.guard import Guard
from t2fast.decode.endpoint.pacing import Pace, Stopped
from t2fast.decode.endpoint.protocol import Reply, Spent
from t2fast.decode.prompts import Problem, Prompts, problems, same_length
from t2fast.decode.request import Sampling
from t2fast.decode.samples import Finished
from t2fast.kernels.rng import hash64

_SEEDS = 1 << 31
"""Seeds that every server takes."""


class _Wanted:
    """What is still to be drawn of a problem."""

    def __init__(self, problem: Problem, missing: Iterable[int], ahead: int | None) -> None:
        self.problem = problem
        self.left = deque(missing)
        self.ahead = ahead
        self.flying = self.ended = 0
        self.over = False

    def take(self, most: int) -> list[int]:
        """Indices to ask for now, one after the other: servers count a request's seed on from the first."""
        if self.ahead is not None:
            most = min(most, max(self.ahead, self.ended // 2) - self.flying)
        taken: list[int] = []
        while self.left and len(taken) < most and (not taken or self.left[0] == taken[-1] + 1):
            taken.append(self.left.popleft())
        self.flying += len(taken)
        return taken

    def back(self, taken: Sequence[int], drawn: int) -> None:
        """So many of the indices that were taken are there; the others are to be asked for again."""
        self.flying -= len(taken)
        self.ended += drawn
        if not self.over:
            self.left.extendleft(reversed(taken[drawn:]))

    def end(self) -> None:
        """No more of it."""
        self.over = True
        self.left.clear()


@dataclass(frozen=True)
class _Job:
    wanted: _Wanted
    taken: list[int]


_Result = tuple[_Job, "Answered[Reply] | Exception"]


class Served:
    """A model that a server has.

    Sample i of a problem is asked for with a seed of its own, made of the run's seed, the problem and i;
    whether a server draws the same sample for the same seed is its affair.
    """

    def __init__(self, endpoint: Endpoint, name: str) -> None:
        self.endpoint = endpoint
        self.name = name

    def __repr__(self) -> str:
        return f"Served({self.name!r} at {self.endpoint.url})"

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
        spent: Callable[[Spent], None] | None = None,
    ) -> bool:
        """Draw samples and hand on each as it ends; as `Engine.each`.

        Args:
            prompts: as for `Engine.sample`; messages with `chat` alone.
            finished: called with every sample, in no certain order; True ends its problem.
            sampling: how tokens are chosen and when a sample ends. `top_k`, `min_p` and `stop_tokens` are no
                part of OpenAI's protocol: servers that do not know them refuse or, worse, ignore them.
            k: samples for each prompt, one number or one for each.
            have: of each prompt, the samples that are there already, ascending; those are not drawn again.
            ahead: most samples of a prompt asked for at once, while no more than twice as many have ended;
                for where `finished` may end a problem.
            chat: let the server put prompts through the model's chat template.
            spent: called with what a request took, before `finished` is with its samples.

        Returns:
            Whether all was drawn; False after Ctrl-C.

        Raises:
            ValueError: for prompts that make no sense; if the server refuses a request or fails too often; if
                its samples cannot be independent.
            ImportError: without httpx.
        """
        found = problems(prompts)
        counts = same_length(k, len(found), "k")
        there = [set(own) for own in have] or [set[int]() for _ in found]
        wanted = [
            _Wanted(problem, (i for i in range(count) if i not in own), ahead)
            for problem, count, own in zip(found, counts, there, strict=True)
        ]
        for one in found:  # before anything is paid for
            protocol.body(self.name, one, sampling, 1, 0, chat, {})
        most = 1 if sampling.temperature == 0 else self.endpoint.per_request
        work = _Work(self.endpoint, wanted, self._asker(sampling, chat), most)
        guard = Guard(sampling.temperature)

        def hand_on(job: _Job, answered: Answered[Reply]) -> None:
            reply, own = answered.answer, job.wanted
            if spent is not None:
                spent(_spent(job, answered))
            guard.look(str(own.problem.id), reply)
            length = reply.output_tokens if len(reply.choices) == 1 else None
            for index, choice in zip(job.taken, reply.choices, strict=False):
                if own.over:
                    break
                one = Finished(own.problem.id, index, choice.text, length, None, choice.reason)
                if finished(one):
                    own.end()

        try:
            for result in work.results():
                hand_on(*result)
        except KeyboardInterrupt:
            for result in work.ready():
                hand_on(*result)
            return False
        finally:
            work.close()
        guard.end()
        return True

    def _asker(self, sampling: Sampling, chat: bool) -> Callable[[Client, _Job], Answered[Reply]]:
        def ask(client: Client, job: _Job) -> Answered[Reply]:
            problem, n = job.wanted.problem, len(job.taken)
            seed = (hash64(sampling.seed, problem.id) + job.taken[0]) % _SEEDS
            path, body = protocol.body(self.name, problem, sampling, n, seed, chat, self.endpoint.request)
            return client.ask(path, body, lambda data: protocol.read(data, n, sampling))

        return ask


def _spent(job: _Job, answered: Answered[Reply]) -> Spent:
    reply = answered.answer
    return Spent(
        str(job.wanted.problem.id),
        job.taken[0],
        len(reply.choices),
        reply.prompt_tokens,
        reply.output_tokens,
        answered.seconds,
        answered.retries,
        reply.model,
    )


class _Work:
    """Requests under way, in threads of their own; all else is the caller's thread's."""

    def __init__(
        self,
        endpoint: Endpoint,
        wanted: Sequence[_Wanted],
        ask: Callable[[Client, _Job], Answered[Reply]],
        most: int,
    ) -> None:
        self._pace = Pace(endpoint.requests_per_minute)
        self._client = Client(endpoint, self._pace)
        self._ask, self._most = ask, most
        self._room = endpoint.concurrency
        self._open = {id(one): one for one in wanted if one.left}
        self._flying = 0
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._done: queue.SimpleQueue[_Result] = queue.SimpleQueue()
        crew = min(self._room, sum(len(one.left) for one in wanted))
        self._crew = [threading.Thread(target=self._serve, daemon=True) for _ in range(crew)]
        for thread in self._crew:
            thread.start()

    def results(self) -> Iterator[tuple[_Job, Answered[Reply]]]:
        """Replies as they come, until nothing is wanted any more.

        What a request failed with is raised once the replies that are there already are handed on.
        """
        while True:
            while self._flying < self._room and (job := self._next()):
                self._flying += 1
                self._jobs.put(job)
            if not self._flying:
                return
            job, result = self._done.get()
            self._flying -= 1
            if isinstance(result, Exception):
                yield from self.ready()
                raise result
            self._back(job, len(result.answer.choices))
            yield job, result

    def ready(self) -> Iterator[tuple[_Job, Answered[Reply]]]:
        """The replies that are there already: they are paid for."""
        while True:
            try:
                job, result = self._done.get_nowait()
            except queue.Empty:
                return
            if not isinstance(result, Exception):
                yield job, result

    def close(self) -> None:
        """End what is under way."""
        self._pace.stop.set()
        for _ in self._crew:
            self._jobs.put(None)
        self._client.close()

    def _back(self, job: _Job, drawn: int) -> None:
        """A request is answered by so many samples."""
        wanted = job.wanted
        wanted.back(job.taken, drawn)
        if drawn < len(job.taken):  # the server gives no more at once, or knows no n
            self._most = min(self._most, drawn)
        if wanted.left:
            self._open.setdefault(id(wanted), wanted)

    def _next(self) -> _Job | None:
        """The next request: for the first problem that wants one.

        One that may not be asked for more at the moment has a request under way: so few need be looked at.
        """
        for key, wanted in list(islice(self._open.items(), self._room + 1)):
            taken = wanted.take(self._most)
            if not wanted.left:
                del self._open[key]
            if taken:
                return _Job(wanted, taken)
        return None

    def _serve(self) -> None:
        while (job := self._jobs.get()) is not None:
            try:
                self._done.put((job, self._ask(self._client, job)))
            except Stopped:
                return
            except Exception as error:  # whatever it is, it is raised where the work was asked for
                self._done.put((job, error))
