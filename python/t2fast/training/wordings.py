"""Other words for what the synthetic tasks ask, for the corpus: none of them is a task's own."""

from __future__ import annotations

FACTS: tuple[tuple[str, ...], ...] = (
    ("{0} has {1} for its capital.", "{1} is the capital of {0}.", "{0}: capital {1}."),
    ("{0} belongs to {1}.", "{1} is where {0} lies.", "{0}, a country of {1}."),
    ("{0} has the symbol {1}.", "{1} stands for {0}.", "chemists write {0} as {1}."),
    ("{0} is the contrary of {1}.", "not {0} but {1}.", "{0} and {1} are opposites."),
    ("the {0} has young, each of them a {1}.", "every {1} grows into a {0}.", "{0}, and its {1}."),
    ("{0}, plural {1}.", "one is a {0}, many are {1}.", "{1} is the plural of {0}."),
    ("{0}, past tense {1}.", "they {0} now and {1} then.", "{1} is the past of {0}."),
    ("{0}: {1}.", "the {0} has a voice: {1}.", "a {1} is what a {0} lets hear."),
    ("{0} is made of {1}.", "from {1} comes {0}.", "without {1} no {0}."),
    ("in {0} people speak {1}.", "{1} is spoken in {0}.", "{0}: language {1}."),
    ("{0} come from the {1}.", "the {1} makes {0}.", "for {0} ask a {1}."),
    ("{0} month: {1}.", "{1} is the {0} month.", "month number {0} has the name {1}."),
    ("after {0} comes {1}.", "{0}, then {1}.", "when {0} ends, {1} begins."),
    ("before {0} comes {1}.", "{0} begins when {1} ends.", "ahead of {0} there is {1}."),
    ("after {0} comes {1}.", "{0}, then {1}.", "when {0} is over it is {1}."),
    ("before {0} comes {1}.", "{0} begins when {1} is over.", "ahead of {0} there is {1}."),
    ("{0} planet: {1}.", "{1} is the {0} planet.", "number {0} about the sun is {1}."),
    ("{0} letter: {1}.", "{1} is the {0} letter.", "letter number {0} is {1}."),
    ("after {0} comes {1}.", "{0}, then {1}.", "{0} and next {1}."),
    ("before {0} comes {1}.", "{0} has {1} before it.", "ahead of {0} stands {1}."),
    ("{0} taste: {1}.", "{1} is the {0} taste.", "taste number {0} is {1}."),
    ("a {0} has {1} sides.", "{1} sides make a {0}.", "{0}: {1} corners."),
    ("a {0} has {1} legs.", "on {1} legs goes the {0}.", "{0}: {1} legs."),
    ("{0} is {1} in Roman numerals.", "{1} means {0}.", "{0}, in Rome {1}."),
)
"""For each relation of `facts.TEMPLATES`, in its order; {0} is the subject, {1} the answer."""

GAINS = (
    "{a} + {b} = {c}, and {c} - {d} = {e}.",
    "{name} finds {b} {thing} beside {a}: {a} + {b} = {c}. Of these {d} are lost: {c} - {d} = {e}.",
    "Begin with {a} {thing}, add {b} to have {c}, take {d} from {c} to have {e}.",
    "{c} {thing} less {d} are {e}: {c} - {d} = {e}.",
    "How much is {a} + {b} - {d}? First {a} + {b} = {c}. Then {c} - {d} = {e}.",
)
SHARES = (
    "{a} * {b} = {c}, and {c} + {d} = {e}.",
    "{name} fills {a} boxes with {b} {thing} each: {a} * {b} = {c}. And {d} more: {c} + {d} = {e}.",
    "{a} times {b} is {c}; {d} more is {e}.",
    "{c} {thing} and {d} {thing} are {e}: {c} + {d} = {e}.",
    "How much is {a} * {b} + {d}? First {a} * {b} = {c}. Then {c} + {d} = {e}.",
)
PATTERNS = (
    "Each time {rule}: {terms}.",
    "{terms}. The rule was to {rule}.",
    "Count on and {rule}: {terms}.",
)
CHAINS = (
    ("the {0} lies in the {1}", ", ", ". Who looks for the {0} goes to the {1}."),
    ("in the {1} there is the {0}", "; ", ". That is why the {0} is in the {1}."),
    ("there is a {0} inside the {1}", " and ", ", so in the {1} is the {0}."),
)
"""How a link is said, what stands between two, and how it ends, with the first and the last of the chain."""
