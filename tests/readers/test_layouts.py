"""Layouts of tools and versions that are not installed here, written by hand as those write them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from made_results import by_problem, lines, whole
from t2fast.readers import read_results


# lm-eval: rows of two documents, under one filter after the other up to 0.4.6.
def document(number: int, response: str, **more: Any) -> dict[str, Any]:
    row = {"doc_id": number, "doc": {"q": number}, "target": "4", "arguments": [["Q", {}]]}
    return {**row, "resps": [[response]], "filtered_resps": [response], **more}


OLD = [document(0, "4", exact_match=1.0), document(1, "5", exact_match=0.0)]
RESULTS = {
    "results": {"my_sums": {}},
    "configs": {"my_sums": {"filter_list": [{"name": "strict"}, {"name": "loose"}]}},
    "config": {"model": "hf", "model_args": "pretrained=me/small,dtype=float"},
}


def test_lm_eval_040_is_an_array_beside_its_results(tmp_path: Path) -> None:
    whole(tmp_path / "pretrained__me__small,dtype__float_my_sums.jsonl", OLD)
    whole(tmp_path / "results.json", {**RESULTS, "configs": {"my_sums": {}}})
    for source in (tmp_path, tmp_path / "results.json"):
        counts = read_results(source)
        assert counts.frame.select("model", "task").unique().rows() == [("me/small", "my_sums")]
        assert list(by_problem(counts).values()) == [(1, 1), (1, 0)]
        assert counts.notes == ("read as lm-eval 0.4.0 to 0.4.2",)


def test_lm_eval_046_has_filters_one_after_the_other(tmp_path: Path) -> None:
    loose = [{**row, "exact_match": 1.0} for row in OLD]
    rows = [{**row, "doc_hash": f"h{row['doc_id']}", "prompt_hash": "p"} for row in (*OLD, *loose)]
    folder = tmp_path / "me__small"
    lines(folder / "samples_my_sums_2024-11-01T00-00-00.000001.jsonl", rows)
    alone = folder / "samples_my_sums_2024-11-01T00-00-00.000001.jsonl"
    with pytest.raises(ValueError, match="has 2 filters, 'filter 1', 'filter 2': choose one"):
        read_results(alone)
    whole(folder / "results_2024-11-01T00-00-00.000001.json", {**RESULTS, "model_name": "me/small"})
    assert by_problem(read_results(folder, filter="strict")) == {"h0": (1, 1), "h1": (1, 0)}
    assert by_problem(read_results(folder, filter="loose")) == {"h0": (1, 1), "h1": (1, 1)}


def test_lm_eval_finds_counts_in_pass_at_1_of_several_responses(tmp_path: Path) -> None:
    row = {**document(0, "x", doc_hash="h", filter="none", metrics=["pass@1"]), "pass@1": 0.75}
    row["resps"] = row["filtered_resps"] = [["a", "b", "c", "d"]]
    assert by_problem(read_results(lines(tmp_path / "x.jsonl", [row]))) == {"h": (4, 3)}
    # A filter that takes the first, or the answer of most, has one score that says nothing of the others.
    for scores in ({"pass@1": 1.0}, {"pass@1": [1.0]}):
        path = lines(tmp_path / "x.jsonl", [{**row, **scores, "filtered_resps": ["a"]}])
        with pytest.raises(ValueError, match=r"pass@1 in row 1 .* is one score for 4 responses, of which"):
            read_results(path)


def evalplus(tmp_path: Path, plus: bool, **extra: Any) -> Path:
    task = {
        "nfiles": 3,
        "base": [["success", [1]], ["failed", [0]], ["timed out", []]],
        "plus": [["failed", [0]], ["failed", [0]], ["timed out", []]] if plus else [],
    }
    return whole(
        tmp_path / "old_eval_results.json", {"date": "", "hash": "0", "eval": {"H/0": {**task, **extra}}}
    )


def test_evalplus_01_keeps_lists(tmp_path: Path) -> None:
    assert by_problem(read_results(evalplus(tmp_path, True), metric="base")) == {"H/0": (3, 1)}
    assert by_problem(read_results(evalplus(tmp_path, True), metric="plus")) == {"H/0": (3, 0)}
    counts = read_results(evalplus(tmp_path, False))
    assert by_problem(counts) == {"H/0": (3, 1)}
    assert counts.notes == ("read as evalplus 0.1 to 0.2.0",)
    with pytest.raises(ValueError, match="has 4 samples by nfiles, but 3 results of base"):
        read_results(evalplus(tmp_path, False, nfiles=4))


def test_evalperf_in_full_and_in_brief(tmp_path: Path) -> None:
    settings = {"n_samples": 4, "temperature": 1.0, "min_correct": 1, "max_profile": 1}
    results = [{"solution": "", "pass": verdict, "profiled": False} for verdict in (True, False, False, True)]
    full = {"date": "", **settings, "eval": {"H/0": {"task_id": "H/0", "results": results, "pass@1": 50.0}}}
    brief = {"date": "", "config": settings, "summary": {}, "eval": {"H/0": {"dps": None, "pass@1": 50.0}}}
    for name, content in (("a_evalperf_results.json", full), ("a_evalperf_results.brief.json", brief)):
        assert by_problem(read_results(whole(tmp_path / name, content))) == {"H/0": (4, 2)}
    brief["eval"]["H/0"]["pass@1"] = 40.0
    with pytest.raises(ValueError, match="no whole number of 4 samples"):
        read_results(whole(tmp_path / "b.json", brief))


def test_bigcodebench(tmp_path: Path) -> None:
    samples = [
        {"task_id": "B/0", "solution": "", "status": status, "details": {}} for status in ("pass", "timeout")
    ]
    for name in ("one", "two"):
        whole(tmp_path / f"{name}_eval_results.json", {"date": "", "eval": {"B/0": samples}})
    counts = read_results(tmp_path)
    assert counts.frame.rows() == [("one", "B/0", 2, 1), ("two", "B/0", 2, 1)]


def test_livecodebench(tmp_path: Path) -> None:
    rows = [
        {
            "question_id": f"abc{i}",
            "output_list": [""] * 3,
            "graded_list": grades,
            "pass@1": 0.5,
            "metadata": [],
        }
        for i, grades in enumerate(([True, False, True], [False] * 3))
    ]
    path = whole(tmp_path / "Some-Model" / "Scenario.codegeneration_3_0.2_eval_all.json", rows)
    counts = read_results(path)
    assert counts.frame.rows() == [
        ("Some-Model", "codegeneration", "abc0", 3, 2),
        ("Some-Model", "codegeneration", "abc1", 3, 0),
    ]


def test_livecodebench_grades_every_code(tmp_path: Path) -> None:
    path = tmp_path / "x_eval_all.json"
    rows = [{"question_id": "a", "graded_list": [True], "code_list": ["", ""]}]
    with pytest.raises(ValueError, match=r"row 1 of .* has 2 in code_list but 1 in graded_list"):
        read_results(whole(path, rows))
    rows = [
        {"question_id": name, "graded_list": [True] * i, "code_list": [""] * i} for i, name in enumerate("ab")
    ]
    counts = read_results(whole(path, rows))
    assert by_problem(counts) == {"b": (1, 1)}
    assert [(part.rows, part.reason) for part in counts.left_out] == [(1, "problem without samples")]


def test_helm(tmp_path: Path) -> None:
    def stat(name: str, value: float, **more: Any) -> dict[str, Any]:
        return {"name": {"name": name, "split": "test", **more}, "count": 1, "sum": value, "mean": value}

    rows = [
        {
            "instance_id": f"id{i}",
            "train_trial_index": trial,
            "stats": [stat("exact_match", i), stat("num_output_tokens", 7.0), stat("num_prompt_tokens", 5.0)],
        }
        for i in range(2)
        for trial in range(2)
    ]
    rows.append({**rows[0], "perturbation": {"name": "typos"}})
    run = tmp_path / "mmlu:subject=x,model=me_small"
    whole(run / "per_instance_stats.json", rows)
    whole(
        run / "run_spec.json",
        {"name": "mmlu:subject=x,model=me_small", "adapter_spec": {"model": "me/small"}},
    )
    whole(run / "scenario_state.json", {"request_states": []})
    for source in (tmp_path, run / "run_spec.json"):
        counts = read_results(source)
        assert counts.frame.select("model", "task").unique().rows() == [("me/small", "mmlu:subject=x")]
        assert by_problem(counts) == {"id0": (2, 0), "id1": (2, 2)}
        assert counts.frame["output_tokens"].to_list() == [14.0, 14.0]
        assert [(part.rows, part.reason) for part in counts.left_out] == [(1, "perturbed instance")]


def test_helm_has_a_trial_of_an_instance_once(tmp_path: Path) -> None:
    def row(*values: float) -> dict[str, Any]:
        stats = [{"name": {"name": "exact_match"}, "count": 1, "sum": value} for value in values]
        return {"instance_id": "id1", "train_trial_index": 0, "stats": stats}

    path = tmp_path / "per_instance_stats.json"
    with pytest.raises(
        ValueError,
        match=r"row 2 of .* another value of exact_match than row 1 .*, 0\.0 and 1\.0: both are instance id1",
    ):
        read_results(whole(path, [row(1.0), row(0.0)]))
    with pytest.raises(ValueError, match=r"row 1 of .* has two values of exact_match, 1\.0 and 0\.0"):
        read_results(whole(path, [row(1.0, 0.0)]))


def test_simple_evals(tmp_path: Path) -> None:
    prompt = [{"role": "user", "content": "1+1"}]
    content = {
        "score": 0.5,
        "metrics": {},
        "htmls": ["<p>Score: 1.0</p>", "<p>Score: 0.0</p>"],
        "convos": [[*prompt, {"role": "assistant", "content": text}] for text in ("2", "3")],
    }
    counts = read_results(whole(tmp_path / "x_allresults.json", content))
    assert [tuple(pair) for pair in by_problem(counts).values()] == [(2, 1)]
    with pytest.raises(ValueError, match="written by simple-evals and holds means"):
        read_results(whole(tmp_path / "x.json", {"score": 0.5, "chars": 10.0}))


def test_simple_evals_permutes_choices(tmp_path: Path) -> None:
    def asked(order: str, question: str = "Which?") -> list[dict[str, str]]:
        choices = "\n".join(f"{letter}) {text}" for letter, text in zip("ABCD", order, strict=True))
        prompt = f"Answer.\n\n{question}\n\n{choices}"
        return [{"role": "user", "content": prompt}, {"role": "assistant", "content": "A"}]

    convos = [asked("wxyz"), asked("zyxw"), asked("xwyz"), asked("wxyz", "What?"), asked("wxyv")]
    content = {"htmls": [f"<p>Score: {score}</p>" for score in (1.0, 0.0, 1.0, 0.0, 1.0)], "convos": convos}
    counts = read_results(whole(tmp_path / "x_allresults.json", content))
    assert sorted(by_problem(counts).values()) == [(1, 0), (1, 1), (3, 2)]


def instance(sample: str, correct: bool, **more: Any) -> dict[str, Any]:
    return {
        "schema_version": "0.2.1",
        "evaluation_id": "e",
        "model_id": "me/small",
        "evaluation_name": "gsm8k",
        "sample_id": sample,
        "interaction_type": "single_turn",
        "input": {"raw": "", "reference": []},
        "output": {"raw": ["x"]},
        "answer_attribution": [],
        "evaluation": {"score": float(correct), "is_correct": correct},
        "token_usage": {"input_tokens": 10, "output_tokens": 20, "total_tokens": 30},
        "performance": {"latency_ms": 500.0},
        **more,
    }


def test_every_eval_ever_with_usage_and_errors(tmp_path: Path) -> None:
    rows = [instance("a", True), instance("a", False), instance("b", True, error="timeout")]
    path = lines(tmp_path / "x.jsonl", rows)
    counts = read_results(path)
    assert counts.frame.drop("model", "task").rows() == [
        ("a", 2, 1, 20.0, 40.0, 1.0),
        ("b", 1, 1, 10.0, 20.0, 0.5),
    ]
    assert "samples that ended in an error, counted as they were scored: 1" in counts.notes
    assert by_problem(read_results(path, errors="fail")) == {"a": (2, 1), "b": (1, 0)}
    assert by_problem(read_results(path, errors="drop")) == {"a": (2, 1)}


def test_every_eval_ever_scores_a_sample_by_several_results(tmp_path: Path) -> None:
    def row(result: str, correct: bool) -> dict[str, Any]:
        return instance("a", correct, evaluation_result_id=result)

    path = lines(tmp_path / "x.jsonl", [row("e#acc", True), row("e#strict", False), row("e#acc", False)])
    with pytest.raises(ValueError, match=r"evaluation 'e' has 2 metrics, 'e#acc', 'e#strict': choose one"):
        read_results(path)
    assert by_problem(read_results(path, metric="e#acc")) == {"a": (2, 1)}
    assert by_problem(read_results(path, metric="e#strict")) == {"a": (1, 0)}
    # Another evaluation of the model on the task is another run, which may have had other settings.
    path = lines(tmp_path / "x.jsonl", [instance("a", True), instance("a", False, evaluation_id="f")])
    with pytest.raises(ValueError, match=r"x\.jsonl has twice: model 'me/small', task 'gsm8k', problem 'a'"):
        read_results(path)
    assert by_problem(read_results(path, duplicates="sum")) == {"a": (2, 1)}


def test_every_eval_ever_does_not_take_a_score_between_for_correct(tmp_path: Path) -> None:
    def row(sample: str, score: float, epoch: int | None = None) -> dict[str, Any]:
        more = {"metadata": {"epoch": str(epoch)}} if epoch else {}
        return {
            **instance(sample, score > 0, **more),
            "evaluation": {"score": score, "is_correct": score > 0},
        }

    path = lines(tmp_path / "x.jsonl", [row("a", 0.25), row("b", 1.0)])
    with pytest.raises(
        ValueError, match=r"in row 1 of .* is 0\.25, which is neither 0 nor 1, .* correct_at="
    ):
        read_results(path)
    assert by_problem(read_results(path, correct_at=0.5)) == {"a": (1, 0), "b": (1, 1)}
    # A third of three epochs is one; a score that no number of them gives is no mean of verdicts.
    third = [row("a", 1 / 3, epoch) for epoch in (1, 2, 3)]
    counts = read_results(lines(tmp_path / "x.jsonl", [*third, *(row("b", 1.0, i) for i in (1, 2, 3))]))
    assert by_problem(counts) == {"a": (3, 1), "b": (3, 3)}
    for rows, choice in (([row("a", 0.5, i) for i in (1, 2, 3)], {}), (third, {"correct_at": 0.2})):
        with pytest.raises(ValueError, match=r"as in all 3 epochs of this sample"):
            read_results(lines(tmp_path / "x.jsonl", rows), **choice)


def test_rollouts_of_several_models_are_told_apart(tmp_path: Path) -> None:
    rows = [{"example_id": 0, "reward": float(i), "model": "ab"[i], "step": 3} for i in (0, 1)]
    counts = read_results(lines(tmp_path / "x.jsonl", rows))
    assert counts.frame.rows() == [("a", "0", 1, 0), ("b", "0", 1, 1)]
    rows[1]["step"] = 4
    with pytest.raises(ValueError, match=r"step is 4 in row 2 of .* but 3 in row 1 of .*: another step"):
        read_results(lines(tmp_path / "x.jsonl", rows))
    del rows[1]["step"], rows[1]["example_id"]
    rows[1]["problem_id"] = 0
    with pytest.raises(ValueError, match=r"example_id in row 2 of .* is missing"):
        read_results(lines(tmp_path / "x.jsonl", rows))


def test_verifiers_and_prime_rl(tmp_path: Path) -> None:
    rows = [
        {"example_id": i // 2, "prompt": [], "completion": [], "reward": float(i == 1), "task": "default"}
        for i in range(4)
    ]
    lines(tmp_path / "results.jsonl", rows)
    whole(tmp_path / "metadata.json", {"env_id": "sums", "model": "me/small"})
    counts = read_results(tmp_path)
    assert counts.frame.rows() == [("me/small", "sums", "0", 2, 1), ("me/small", "sums", "1", 2, 0)]
    lines(tmp_path / "results.jsonl", [{**rows[0], "reward": 0.5}])
    with pytest.raises(ValueError, match=r"reward in row 1 .* is 0\.5, neither 0 nor 1"):
        read_results(tmp_path)
    assert read_results(tmp_path, correct_at=0.5).c.tolist() == [1]


@pytest.mark.parametrize("messages", [True, False])
def test_nemo_rl_tells_problems_by_their_prompt(tmp_path: Path, messages: bool) -> None:
    def content(prompt: str, answer: str) -> list[Any]:
        if not messages:
            return [prompt, answer]
        return [{"role": "user", "content": prompt}, {"role": "assistant", "content": answer}]

    rows = [
        {"idx": i, "content": content(f"q{i % 2}", f"a{i}"), "rewards": float(i == 2), "input_lengths": 9}
        for i in range(4)
    ]
    counts = read_results(lines(tmp_path / "val_data_step10.jsonl", rows))
    assert sorted(by_problem(counts).values()) == [(2, 0), (2, 1)]


def test_means_are_refused_with_their_writer(tmp_path: Path) -> None:
    path = whole(
        tmp_path / "evaluation_results.json", {"humaneval": {"pass@1": 0.25}, "config": {"model": "m"}}
    )
    with pytest.raises(ValueError, match="was written by bigcode-evaluation-harness and holds means"):
        read_results(path)


def test_an_unknown_layout_says_what_it_is_nearest_to(tmp_path: Path) -> None:
    path = whole(tmp_path / "x.json", {"date": "", "eval": {}, "extra": 1})
    with pytest.raises(ValueError, match=r"nearest to BigCodeBench|nearest to evalplus, .* but not hash"):
        read_results(path)
    row = {"question_id": "q", "graded": [True], "code": ["x"]}
    with pytest.raises(ValueError, match=r"has no column n_samples|nearest to LiveCodeBench"):
        read_results(lines(tmp_path / "y.jsonl", [row]))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            'problem,n_samples,n_correct\na,1,1\n5" pipe,10,3\nc,1,1\nd,1,1\n',
            "row 2 has a quote inside '5\" pipe'",
        ),
        ('problem,n_samples,n_correct\na,1,1\n"b,1,1\nc,1,1\n', "row 2 opens a quote that does not end"),
        ("problem,n_samples,n_correct\na,1,1\nb,1,1,9\n", "row 2 has 4 fields where the header has 3"),
    ],
)
def test_a_csv_that_does_not_parse_names_its_row(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "x.csv"
    path.write_text(content)
    with pytest.raises(ValueError, match=message):
        read_results(path)


def test_verifiers_02_writes_a_trace_a_row(tmp_path: Path) -> None:
    def trace(idx: int, **more: Any) -> dict[str, Any]:
        task = {"type": "Sums", "data": {"idx": idx, "prompt": "?"}}
        return {
            "id": "x",
            "task": task,
            "nodes": [],
            "calls": [{"model": "m"}],
            "metrics": {},
            "errors": [],
            **more,
        }

    rows = [
        trace(0, rewards={"right": 1.0, "form": 0.0}),
        trace(0, rewards={"right": 0.0}, errors=[{"type": "E", "message": ""}]),
        trace(1, rewards={}),
    ]
    path = lines(tmp_path / "traces.jsonl", rows)
    counts = read_results(path)
    assert counts.frame.rows() == [("m", "0", 2, 1)]
    assert [(part.rows, part.reason) for part in counts.left_out] == [(1, "trace without a reward")]
    assert counts.notes[0] == "read as verifiers 0.2, traces with rewards"
    assert by_problem(read_results(path, errors="drop")) == {"0": (1, 1)}
    both = {"env": {"id": "sums"}, "task": rows[0]["task"], "traces": [rows[0], rows[0]]}
    with pytest.raises(ValueError, match="has 2 traces of agents that are trained"):
        read_results(lines(path, [both]))
    work = [{**both, "traces": rows[:1], "run": {"type": "train", "work": {"step": step}}} for step in (1, 2)]
    with pytest.raises(ValueError, match=r"step is 2 in row 2 of .* but 1 in row 1"):
        read_results(lines(path, work))


def test_what_is_nearest_is_told_by_the_samples_where_documents_have_keys_in_common(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    path.write_text(json.dumps({"date": "2024-01-01", "eval": {"HumanEval/0": {"nfiles": 2}}}))
    with pytest.raises(ValueError, match="nearest to evalplus, of which it has date, eval but not hash"):
        read_results(path)
    path.write_text(json.dumps({"date": "2024-01-01", "eval": {"HumanEval/0": []}}))
    with pytest.raises(ValueError, match="nearest to BigCodeBench, of which it has date, eval"):
        read_results(path)
