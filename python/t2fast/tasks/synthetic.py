"""Four synthetic tasks of short completions, the answer at the end, after those of the T² paper.

- `knowledge`: a plain fact to recall.
- `arithmetic`: a word problem whose steps are spelled out up to the result, or a number pattern with its
  rule.
- `causal`: two sentences set a pattern of who does what to whom; the third is to be completed.
- `spatial`: a chain of containment, X in Y, Y in Z, and so X in Z.

Each has 1,000 different problems, a function of the kind and the seed. The paper (Roberts et al. 2026, arXiv
2604.01411) published no problems: these are of its kinds, in our words.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import TypeVar

from t2fast.tasks import facts
from t2fast.tasks.answers import RULES
from t2fast.tasks.task import Problem, Task, configured

T = TypeVar("T")

COUNT = 1_000
"""Problems of each kind."""


def _words(text: str) -> list[str]:
    return text.split()


def _clauses(text: str) -> list[str]:
    return [" ".join(clause.split()) for clause in text.split(",")]


NAMES = _words(
    """
    Tom Anna Ben Clara David Emma Frank Grace Henry Irene Jack Kate Leo Mia Noah Olga Paul Rosa Sam Tina
    """
)
THINGS = _words("apples books coins stamps marbles pencils shells cards stickers buttons eggs candles")

HELPED = _clauses(
    """
    teacher helps student, doctor helps patient, lawyer helps client, waiter helps guest, coach helps
    athlete, nurse helps doctor, clerk helps customer, guide helps tourist, pilot helps passenger, farmer
    helps neighbor, priest helps sinner, tutor helps pupil, mother helps baby, trainer helps dog, sailor
    helps captain
    """
)
HUNTS = _clauses(
    """
    cat chases mouse, dog chases cat, wolf chases sheep, lion chases zebra, fox chases rabbit, hawk chases
    sparrow, spider chases fly, shark chases fish, owl chases vole, bear chases salmon, frog chases cricket,
    police officer chases thief, cheetah chases gazelle, goalkeeper chases ball, snake chases rat
    """
)
MAKES = _clauses(
    """
    baker makes bread, tailor makes suits, potter makes pots, brewer makes beer, painter makes paintings,
    poet makes poems, carpenter makes tables, cobbler makes shoes, bee makes honey, hen makes eggs, composer
    makes music, spider makes webs, jeweler makes rings, sculptor makes statues, winemaker makes wine
    """
)
USES = _clauses(
    """
    hammer drives nail, key opens lock, knife cuts bread, axe splits wood, broom sweeps floor, towel dries
    hands, pen fills page, brush paints wall, needle pulls thread, saw cuts plank, bucket carries water,
    oven bakes cake, lamp lights room, engine moves car, wind turns mill, sun melts snow, rain wets street
    """
)
EATS = _clauses(
    """
    cow eats grass, panda eats bamboo, squirrel eats nuts, rabbit eats carrots, monkey eats bananas, horse
    eats hay, bear eats honey, mouse eats cheese, goat eats leaves, pigeon eats seeds, koala eats
    eucalyptus, anteater eats ants, seal eats fish, caterpillar eats cabbage, parrot eats fruit
    """
)
CAUSES = _clauses(
    """
    fire makes smoke, rain makes puddles, lightning makes thunder, frost makes ice, wind makes waves, dust
    makes sneezes, jokes make laughter, onions make tears, heat makes sweat, work makes money, sugar makes
    cavities, sunshine makes shadows, practice makes skill, storms make floods, bad news makes worry
    """
)

SMALL = _words(
    """
    key ring coin letter pen watch photo needle stamp ticket pearl marble button whistle pill thimble
    """
)
HOLDERS = _words("box purse envelope wallet pouch jar tin case basket bag bowl sack")
FURNITURE = _words("drawer cupboard chest closet cabinet wardrobe trunk locker desk safe")
ROOMS = _words("kitchen bedroom attic cellar office garage library hall pantry nursery")
BUILDINGS = _words("house castle hotel school museum palace farmhouse hospital theater villa")
PLACES = _words("village city park valley suburb harbor town forest")
LEVELS = (SMALL, HOLDERS, FURNITURE, ROOMS, BUILDINGS, PLACES)


class Chance:
    """Choices that rest on `random.random()` alone, the one method that Python promises never to change."""

    def __init__(self, name: str):
        self._random = random.Random(name)

    def below(self, n: int) -> int:
        """A whole number of at least 0 and less than n."""
        return int(self._random.random() * n)

    def between(self, low: int, high: int) -> int:
        """Both ends included."""
        return low + self.below(high - low + 1)

    def one(self, items: Sequence[T]) -> T:
        """One of the items."""
        return items[self.below(len(items))]

    def some(self, items: Sequence[T], count: int) -> list[T]:
        """`count` different items in random order."""
        rest = list(items)
        return [rest.pop(self.below(len(rest))) for _ in range(count)]


def synthetic(kind: str, *, seed: int = 0) -> Task:
    """The 1,000 problems of a kind. Every kind's answers are judged by the rule `begins`."""
    if kind not in KINDS:
        raise ValueError(f"no synthetic task {kind!r}; there are {', '.join(KINDS)}")
    chance = Chance(f"t2fast synthetic {kind} {seed}")
    made: dict[str, str] = {}
    draw = KINDS[kind](chance)
    while len(made) < COUNT:
        prompt, answer = draw()
        made.setdefault(prompt, answer)
    problems = tuple(
        Problem(f"{kind}-{seed}-{i}", prompt, (f" {answer}",))
        for i, (prompt, answer) in enumerate(made.items())
    )
    # A full stop ends a sentence, but it may also stand in a wrong number that begins like the right one.
    stop = ("\n",) if kind == "arithmetic" else ("\n", ".")
    name = configured(kind, {"seed": seed} if seed else {})
    return Task(name, problems, "begins", RULES["begins"], stop, 12)


Draw = Callable[[], tuple[str, str]]


def _knowledge(chance: Chance) -> Draw:
    known = [
        (facts.sentence(template, subject), answer)
        for relation, templates in facts.TEMPLATES
        for template in templates
        for subject, answer in relation.items()
    ]
    order = iter(chance.some(known, COUNT))
    return lambda: next(order)


def _arithmetic(chance: Chance) -> Draw:
    def draw() -> tuple[str, str]:
        return chance.one((_gains, _shares, _pattern))(chance)

    return draw


def _gains(chance: Chance) -> tuple[str, str]:
    name, thing = chance.one(NAMES), chance.one(THINGS)
    start, gain = chance.between(2, 30), chance.between(2, 20)
    middle = start + gain
    loss = chance.between(1, middle - 1)
    return (
        f"{name} has {start} {thing}. {name} gets {gain} more, which makes {start} + {gain} = {middle}. "
        f"Then {name} gives {loss} away, which leaves {middle} - {loss} ="
    ), str(middle - loss)


def _shares(chance: Chance) -> tuple[str, str]:
    name, thing = chance.one(NAMES), chance.one(THINGS)
    boxes, each, more = chance.between(2, 9), chance.between(2, 9), chance.between(1, 20)
    return (
        f"{name} has {boxes} boxes of {each} {thing}, which is {boxes} * {each} = {boxes * each}. "
        f"With {more} more {thing} beside them, {name} has {boxes * each} + {more} ="
    ), str(boxes * each + more)


def _pattern(chance: Chance) -> tuple[str, str]:
    kind, first = chance.below(3), chance.between(1, 30)
    if kind == 0:
        step = chance.between(2, 12)
        rule, terms = f"add {step}", [first + step * i for i in range(5)]
    elif kind == 1:
        step = chance.between(2, 6)
        rule, terms = f"take away {step}", [first + step * (6 - i) for i in range(5)]
    else:
        step = chance.between(2, 3)
        rule, terms = f"multiply by {step}", [first * step**i for i in range(5)]
    return f"The rule of the pattern is to {rule} each time: {', '.join(map(str, terms[:4]))},", str(terms[4])


def _causal(chance: Chance) -> Draw:
    families = [[_clause(text) for text in family] for family in (HELPED, HUNTS, MAKES, USES, EATS)]
    causes = [_cause(text) for text in CAUSES]

    def draw() -> tuple[str, str]:
        family = chance.one((*families, causes))
        first, second, (start, answer) = chance.some(family, 3)
        return f"{' '.join(first)}. {' '.join(second)}. {start}", answer

    return draw


def _clause(text: str) -> tuple[str, str]:
    """`cat chases mouse` as `The cat chases the` and `mouse`; what is made or eaten takes no article."""
    actor, _, thing = text.rpartition(" ")
    article = "" if text.split()[-2] in ("makes", "eats") or thing == "hands" else " the"
    return f"The {actor}{article}", thing


def _cause(text: str) -> tuple[str, str]:
    cause, _, effect = text.rpartition(" ")
    return cause[0].upper() + cause[1:], effect


def _spatial(chance: Chance) -> Draw:
    def draw() -> tuple[str, str]:
        length = chance.between(3, 5)
        start = chance.below(len(LEVELS) - length + 1)
        chain = [chance.one(level) for level in LEVELS[start : start + length]]
        links = [f"The {inner} is in the {outer}." for inner, outer in pairwise(chain)]
        return f"{' '.join(links)} So the {chain[0]} is in the", chain[-1]

    return draw


KINDS: dict[str, Callable[[Chance], Draw]] = {
    "knowledge": _knowledge,
    "arithmetic": _arithmetic,
    "causal": _causal,
    "spatial": _spatial,
}
"""Makers of problems by kind."""
