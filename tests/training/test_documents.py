"""The generated corpus: skills in many words, and no problem that is asked."""

from __future__ import annotations

import re
from collections import Counter
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st
from t2fast import training
from t2fast.tasks import Problem, Task, facts
from t2fast.tasks.synthetic import KINDS, synthetic
from t2fast.training.documents import problem_key
from t2fast.training.wordings import FACTS

pytest.importorskip("tokenizers", reason="a corpus needs the decode extra (tokenizers)")

ASKED = [synthetic(kind) for kind in KINDS]
MANY = 20_000


@pytest.fixture(scope="module")
def stream() -> list[str]:
    return list(islice(training.documents(0, ASKED), MANY))


def test_no_problem_that_is_asked_occurs(stream: list[str]) -> None:
    """Word for word, over every prompt: a line could only hold one from its start or after a full stop."""
    prompts = {problem.prompt for task in ASKED for problem in task.problems}
    lengths = sorted({len(prompt) for prompt in prompts})
    starts = re.compile(r"(?:^|(?<=[.:;,] ))\S")
    for document in stream:
        for line in document.split("\n"):
            for found in starts.finditer(line):
                at = found.start()
                assert not any(line[at : at + n] in prompts for n in lengths), line
    assert not any(prompt in "\n".join(stream[:200]) for prompt in prompts)


def test_without_a_list_of_the_unseen_they_do_occur() -> None:
    """That the test above could fail."""
    prompts = {problem.prompt for problem in ASKED[0].problems}
    lines = {line for text in islice(training.documents(0), 2_000) for line in text.split("\n")}
    assert any(any(line.startswith(prompt) for prompt in prompts) for line in lines)


def test_sums_and_chains_are_hidden_with_other_names_and_in_other_words(stream: list[str]) -> None:
    sums, chains = set(), set()
    for task in ASKED:
        for problem in task.problems:
            numbers = [int(n) for n in re.findall(r"\d+", problem.prompt)]
            if " gives " in problem.prompt:
                start, gain, _, _, middle, loss, *_ = numbers
                assert start + gain == middle
                sums.add(f"{start} + {gain} = {middle}|{middle} - {loss} = {middle - loss}")
            elif "boxes of" in problem.prompt:
                boxes, each, _, _, product, more, *_ = numbers
                sums.add(f"{boxes} * {each} = {product}|{product} + {more} = {product + more}")
            elif problem.prompt.startswith("The rule"):
                rule = problem.prompt.split("is to ")[1].split(" each")[0]
                sums.add(f"{rule}|{', '.join(map(str, numbers[-4:]))}, {problem.answers[0].strip()}")
            elif " So the " in problem.prompt:
                chains.add(tuple(re.findall(r"(\w+) is in the (\w+)\.", problem.prompt)))
    assert len(sums) > 800
    seen = Counter()
    for line in (line for document in stream for line in document.split("\n")):
        calculations = re.findall(r"\d+ [+*-] \d+ = \d+", line)
        if len(calculations) == 2:
            seen["sums"] += 1
            assert "|".join(calculations) not in sums, line
        rule = re.search(r"(add \d+|take away \d+|multiply by \d+)", line)
        terms = re.search(r"\d+(, \d+){4}", line)
        if rule and terms:
            seen["patterns"] += 1
            assert f"{rule[0]}|{terms[0]}" not in sums, line
        links = re.findall(r"the (\w+) lies in the (\w+)", line.lower())
        links += re.findall(r"there is a (\w+) inside the (\w+)", line.lower())
        links += [(b, a) for a, b in re.findall(r"in the (\w+) there is the (\w+)", line.lower())]
        if links:
            seen["chains"] += 1
            assert tuple(links) not in chains, line
    assert min(seen.values()) > 1_000


def test_every_skill_and_wording_occurs(stream: list[str]) -> None:
    text = "\n".join(stream)
    for wordings in FACTS:
        for wording in wordings:
            part = max(re.split(r"\{[01]\}", wording), key=len)
            assert part in text or part[0].upper() + part[1:] in text, wording
    for task in ASKED:
        told = sum(problem.answers[0].strip() in text for problem in task.problems)
        assert told > 0.9 * len(task.problems)
    common = Counter(line for document in stream for line in document.split("\n"))
    counts = sorted((n for line, n in common.items() if not re.search(r"\d", line)), reverse=True)
    assert counts[0] > 30 * counts[len(counts) // 2]


def test_there_are_other_words_for_every_relation() -> None:
    assert len(FACTS) == len(facts.TEMPLATES)
    for wordings, (_, templates) in zip(FACTS, facts.TEMPLATES, strict=True):
        assert not set(wordings) & set(templates)


@given(st.integers(0, 10**6))
def test_a_stream_is_a_function_of_its_seed(seed: int) -> None:
    some = list(islice(training.documents(seed, ASKED[:1]), 5))
    assert some == list(islice(training.documents(seed, ASKED[:1]), 5))
    assert some != list(islice(training.documents(seed + 1, ASKED[:1]), 5))


def test_a_key_is_blind_to_names_and_things() -> None:
    prompt = "{} has 5 {}. {} gets 3 more, which makes 5 + 3 = 8. Then {} gives 2 away, which leaves 8 - 2 ="
    keys = {problem_key(prompt.format("Tom", t, "Tom", "Tom")) for t in ("eggs", "pens")}
    assert keys == {("gains", 5, 3, 2)}
    assert problem_key("The capital of France is") == "The capital of France is"


def test_other_tasks_are_mixed_in_but_for_what_is_asked() -> None:
    def task(count: int) -> Task:
        found = tuple(Problem(f"p{i}", f"Question {i}?", (f" answer{i}",)) for i in range(count))
        return Task("quiz", found, "exact", None)

    text = "\n".join(islice(training.documents(0, [*ASKED, task(10)], [task(20)]), 2_000))
    told = {int(n) for n in re.findall(r"Question (\d+)\? answer\1\b", text)}
    assert told == set(range(10, 20))
    with pytest.raises(ValueError, match="has no problem that is not kept unseen"):
        next(training.documents(0, [task(5)], [task(5)]))


def test_a_corpus_and_its_tokenizer_are_functions_of_the_seed() -> None:
    first, tokenizer = training.generate_corpus(20_000, unseen=ASKED)
    longer, again = training.generate_corpus(30_000, unseen=ASKED)
    assert tokenizer.to_str() == again.to_str()
    assert tokenizer.get_vocab_size() == 512
    assert len(first.tokens) == 20_000
    assert (longer.tokens[:20_000] == first.tokens).all()
    text = tokenizer.decode(first.tokens[:1_000].tolist())
    assert text.startswith(next(training.documents(0, ASKED)))
