"""reasoning-gym's data sets, scored strictly."""

from __future__ import annotations

import pytest
from t2fast.tasks import load_task

gym = pytest.importorskip("reasoning_gym", reason="needs the tasks extra (reasoning-gym)")

SHORT = {
    "chain_sum": "min_terms=2,max_terms=2,min_digits=1,max_digits=1",
    "products": "min_terms=2,max_terms=2,min_digits=1,max_digits=1",
    "lcm": "max_value=10",
    "gcd": "max_value=20",
    "simple_equations": "",
    "count_bits": "max_n=64",
    "leg_counting": "",
    "aiw": "",
    "color_cube_rotation": "",
    "simple_geometry": "",
    "largest_island": "min_rows=3,max_rows=3,min_cols=3,max_cols=3",
    "spell_backward": "min_word_len=3,max_word_len=3",
}


@pytest.mark.parametrize("name", SHORT)
def test_answers_pass_and_what_merely_holds_them_does_not(name: str) -> None:
    task = load_task(f"reasoning-gym/{name}:{SHORT[name]}", problems=20, seed=3)
    data = gym.create_dataset(name, seed=3, size=1_000_000, **pairs(SHORT[name]))
    for problem in task.problems:
        entry = data[int(problem.id.rpartition("-")[2])]
        assert problem.prompt == f"Question: {entry['question'].strip()}\nAnswer:"
        assert task.verify(problem, f" {entry['answer']}\n")
        assert not task.verify(problem, f"{entry['answer']}5")
        assert not task.verify(problem, f"{entry['answer']} or not")


def pairs(config: str) -> dict[str, int]:
    return {key: int(value) for key, value in (pair.split("=") for pair in config.split(",") if pair)}


def test_no_two_configurations_share_a_name_or_a_problem() -> None:
    specs = [
        ("lcm", 0, 0),
        ("lcm:max_value=10", 0, 0),
        ("lcm:max_value=10", 1, 0),
        ("lcm:max_value=11", 0, 0),
    ]
    tasks = [
        load_task(f"reasoning-gym/{spec}", problems=9, seed=seed, shots=shots) for spec, seed, shots in specs
    ]
    assert [task.name for task in tasks] == [
        "lcm",
        "lcm:max_value=10",
        "lcm:max_value=10,seed=1",
        "lcm:max_value=11",
    ]
    ids = [problem.id for task in tasks for problem in task.problems]
    assert len(set(ids)) == len(ids)
    shown = load_task("reasoning-gym/lcm:max_value=10", problems=5, shots=4)
    assert shown.name == "lcm:max_value=10,shots=4"
    # The same questions with solved examples before them: the same problems.
    assert {problem.id for problem in shown.problems} == {problem.id for problem in tasks[1].problems[4:]}
    named = load_task('reasoning-gym/basic_arithmetic:operators=["+","-"]', problems=2)
    assert named.name == 'basic_arithmetic:operators=["+","-"]'
    synthetic = [load_task("synthetic/causal", problems=3, seed=seed).name for seed in (0, 2)]
    assert synthetic == ["causal", "causal:seed=2"]


def test_partial_credit_is_none() -> None:
    task = load_task("reasoning-gym/chain_sum:min_terms=2,max_terms=2", problems=5)
    data = gym.create_dataset("chain_sum", seed=0, size=1_000_000, min_terms=2, max_terms=2)
    problem = task.problems[0]
    entry = data[int(problem.id.rpartition("-")[2])]
    generous = f"The result is {entry['answer']}"
    assert data.score_answer(generous, entry) > 0
    assert not task.verify(problem, generous)


def test_a_verifier_that_takes_anything_is_refused() -> None:
    with pytest.raises(ValueError, match="cannot tell right from wrong"):
        load_task("reasoning-gym/game_of_life_halting", problems=5)


def test_a_verifier_that_raises_on_text_says_no() -> None:
    task = load_task("reasoning-gym/prime_factorization", problems=3)
    problem = task.problems[0]
    assert not task.verify(problem, "no numbers here")
    assert task.verify(problem, problem.answers[0])


def test_problems_differ_and_do_not_depend_on_how_many_there_are() -> None:
    spec = "reasoning-gym/products:min_terms=2,max_terms=2,min_digits=1,max_digits=1"
    many = load_task(spec, problems=60, shots=3)
    few = load_task(spec, problems=10, shots=3)
    assert few.problems == many.problems[:10]
    assert len({problem.prompt for problem in many.problems}) == 60
    head, *_ = many.problems[0].prompt.rpartition("\n\n")
    assert head.count("Answer: ") == 3
    for problem in many.problems:
        before, _, question = problem.prompt.rpartition("\n\n")
        assert before == head
        assert question not in head
    with pytest.raises(ValueError, match="different problems where 200 are needed"):
        load_task(spec, problems=200)


def test_names_and_configs_that_do_not_exist() -> None:
    with pytest.raises(ValueError, match="makes no data set 'chain_sun'"):
        load_task("reasoning-gym/chain_sun")
    with pytest.raises(ValueError, match="makes no data set 'chain_sum' with"):
        load_task("reasoning-gym/chain_sum:terms=2")
    with pytest.raises(ValueError, match="is not of the form KEY=VALUE"):
        load_task("reasoning-gym/chain_sum:two")
    with pytest.raises(ValueError, match="only reasoning-gym's tasks take solved examples"):
        load_task("synthetic/causal", shots=2)
