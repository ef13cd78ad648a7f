"""A corpus without end in which the synthetic tasks' skills occur, and none of the problems that are asked.

A document is one to three short pieces, each on a line: a problem of a task's own kind with its answer, or
the same skill in other words. Facts come often or seldom, sums are easy or hard, so that what a model makes
of the tasks' problems spans orders of magnitude. A corpus is a function of the seed; a longer one begins with
the shorter.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Iterator, Sequence
from itertools import islice, pairwise
from typing import TYPE_CHECKING

from t2fast.progress import Bar
from t2fast.tasks import Task, facts
from t2fast.tasks.synthetic import KINDS, LEVELS, NAMES, THINGS, Chance
from t2fast.training.corpus import Corpus
from t2fast.training.tokens import cut, train_tokenizer
from t2fast.training.wordings import CHAINS, FACTS, GAINS, PATTERNS, SHARES

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_GAINS = re.compile(r"has (\d+) .* gets (\d+) more.* - (\d+) =$")
_SHARES = re.compile(r"has (\d+) boxes of (\d+) .*With (\d+) more")
_PATTERN = re.compile(r"is to (.+) each time: (\d+),")
_LINK = re.compile(r"The (\w+) is in the (\w+)\.")
_LEARNT_FROM = 5_000
"""Documents from which a tokenizer is trained."""
_TALK = 1_000
"""Documents between two movements of the bar."""
_OWN = 3
"""One piece in so many is a problem in its task's own words."""

Piece = tuple[Hashable, str]
"""What a piece tells, as `problem_key` has it (None: what no problem asks), and its text."""


def documents(seed: int = 0, unseen: Sequence[Task] = (), also: Sequence[Task] = ()) -> Iterator[str]:
    """Documents without end.

    Args:
        seed: of the stream.
        unseen: tasks whose problems do not occur: neither their prompts nor, of sums, patterns and chains of
            containment, the same with other names or in other words.
        also: tasks of any kind whose problems are among the pieces, with their first answer; those that
            `unseen` asks, too, are left out.

    Returns:
        Texts, one by one.

    Raises:
        ValueError: if a task of `also` has no problem that `unseen` does not ask, or one without an answer.
    """
    chance = Chance(f"t2fast documents {seed}")
    hidden = {problem_key(problem.prompt) for task in unseen for problem in task.problems}
    makers = _makers(chance) + [_asked(task, hidden, chance) for task in also]
    while True:
        pieces = []
        for _ in range(chance.between(1, 3)):
            key, text = chance.one(makers)()
            while key in hidden:
                key, text = chance.one(makers)()
            pieces.append(text)
        yield "\n".join(pieces)


def generate_corpus(
    n_tokens: float,
    *,
    seed: int = 0,
    vocab: int = 512,
    unseen: Sequence[Task] = (),
    also: Sequence[Task] = (),
    progress: bool | None = None,
) -> tuple[Corpus, Tokenizer]:
    """A corpus of `documents`, and a tokenizer trained on its beginning.

    Args:
        n_tokens: how long.
        seed: of the documents.
        vocab: tokens of the tokenizer.
        unseen: as for `documents`.
        also: as for `documents`.
        progress: a bar on stderr; None: where stderr is a terminal.

    Returns:
        The corpus and the `tokenizers.Tokenizer` that it is cut by.
    """
    tokenizer = train_tokenizer(islice(documents(seed, unseen, also), _LEARNT_FROM), vocab)
    with Bar(int(n_tokens), progress, "corpus") as bar:

        def counted() -> Iterator[list[int]]:
            length = 0
            for number, document in enumerate(cut(tokenizer, documents(seed, unseen, also))):
                length += len(document)
                if number % _TALK == 0:
                    bar.advance(length)
                    length = 0
                yield document

        return Corpus.of(counted(), n_tokens), tokenizer


def problem_key(prompt: str) -> Hashable:
    """What a problem asks, whatever its names and things: its numbers, its chain, or else its words."""
    if found := _GAINS.search(prompt):
        return ("gains", *map(int, found.groups()))
    if found := _SHARES.search(prompt):
        return ("shares", *map(int, found.groups()))
    if found := _PATTERN.search(prompt):
        return ("pattern", found[1], int(found[2]))
    if links := _LINK.findall(prompt):
        return ("chain", links[0][0], *(outer for _, outer in links))
    return prompt


def _makers(chance: Chance) -> list[Callable[[], Piece]]:
    """Makers of pieces: for each skill the task's own problems, and other words for the same."""
    others: dict[str, Callable[[Chance], Piece]] = {
        "knowledge": _fact,
        "arithmetic": lambda chance: chance.one((_gains, _shares, _pattern))(chance),
        "causal": _scene,
        "spatial": _chain,
    }

    def maker(kind: str) -> Callable[[], Piece]:
        draw = KINDS[kind](chance) if kind != "knowledge" else lambda: _stated(chance)

        def make() -> Piece:
            if chance.below(_OWN):
                return others[kind](chance)
            prompt, answer = draw()
            return problem_key(prompt), f"{prompt} {answer}."

        return make

    return [maker(kind) for kind in KINDS]


def _asked(task: Task, hidden: set[Hashable], chance: Chance) -> Callable[[], Piece]:
    """A maker of a task's problems with their answers."""
    free = [problem for problem in task.problems if problem_key(problem.prompt) not in hidden]
    if not free:
        raise ValueError(f"task {task.name} has no problem that is not kept unseen: give it another seed")
    for problem in free:
        if not problem.answers:
            raise ValueError(f"task {task.name}: problem {problem.id} has no answer to write down")

    def make() -> Piece:
        problem = chance.one(free)
        return problem_key(problem.prompt), problem.prompt + problem.answers[0]

    return make


_KNOWN = [
    (place, subject, answer)
    for place, (relation, _) in enumerate(facts.TEMPLATES)
    for subject, answer in relation.items()
]
_BY_RANK = Chance("t2fast documents, how often facts come").some(_KNOWN, len(_KNOWN))


def _often_or_seldom(chance: Chance) -> tuple[int, str, str]:
    """A fact: of n, the r-th comes with a frequency of about r^(-2/3)."""
    return _BY_RANK[int(len(_BY_RANK) * (chance.below(1 << 20) / (1 << 20)) ** 3)]


def _stated(chance: Chance) -> tuple[str, str]:
    """A fact in the task's own words."""
    place, subject, answer = _often_or_seldom(chance)
    return facts.sentence(chance.one(facts.TEMPLATES[place][1]), subject), answer


def _fact(chance: Chance) -> Piece:
    place, subject, answer = _often_or_seldom(chance)
    text = chance.one(FACTS[place]).format(subject, answer)
    return None, text[0].upper() + text[1:]


def _gains(chance: Chance) -> Piece:
    start, gain = chance.between(2, 30), chance.between(2, 20)
    middle = start + gain
    loss = chance.between(1, middle - 1)
    words = {"name": chance.one(NAMES), "thing": chance.one(THINGS), "a": start, "b": gain, "c": middle}
    return ("gains", start, gain, loss), chance.one(GAINS).format(**words, d=loss, e=middle - loss)


def _shares(chance: Chance) -> Piece:
    boxes, each, more = chance.between(2, 9), chance.between(2, 9), chance.between(1, 20)
    words = {"name": chance.one(NAMES), "thing": chance.one(THINGS), "a": boxes, "b": each, "c": boxes * each}
    return ("shares", boxes, each, more), chance.one(SHARES).format(**words, d=more, e=boxes * each + more)


def _pattern(chance: Chance) -> Piece:
    prompt, answer = "", ""
    while not prompt.startswith("The rule"):
        prompt, answer = KINDS["arithmetic"](chance)()
    rule, terms = prompt.removeprefix("The rule of the pattern is to ").split(" each time: ")
    return problem_key(prompt), chance.one(PATTERNS).format(rule=rule, terms=f"{terms} {answer}")


def _scene(chance: Chance) -> Piece:
    """Two or four sentences of one pattern: never three, which is what the task asks."""
    prompt, answer = KINDS["causal"](chance)()
    sentences = [*prompt.split(". ")[:2], f"{prompt.split('. ')[2]} {answer}"]
    some = chance.some(sentences, 2)
    joined = chance.one((". ", "; ", ", and ", " while "))
    return None, f"{some[0]}{joined}{some[1] if joined == '. ' else some[1][0].lower() + some[1][1:]}."


def _chain(chance: Chance) -> Piece:
    length = chance.between(2, 5)
    start = chance.below(len(LEVELS) - length + 1)
    chain = [chance.one(level) for level in LEVELS[start : start + length]]
    steps = list(pairwise(chain))
    link, between, end = chance.one(CHAINS)
    text = between.join(link.format(inner, outer) for inner, outer in steps)
    return ("chain", *chain), text[0].upper() + text[1:] + end.format(chain[0], chain[-1])
