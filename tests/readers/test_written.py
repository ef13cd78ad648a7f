"""Files that the tools themselves wrote, of versions that are not installed here: `written/README.md`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from t2fast.estimators import estimate
from t2fast.readers import read_results

WRITTEN = Path(__file__).parent / "written"


@pytest.mark.parametrize(
    ("file", "choices", "mean", "samples", "layout"),
    [
        # The means are those that the tools printed or wrote beside.
        ("evalplus-0.1.7_eval_results.json", {"metric": "base"}, 0.6428571428571428, 9, "0.1 to 0.2.0"),
        ("evalplus-0.1.7_eval_results.json", {"metric": "plus"}, 0.3214285714285714, 9, "0.1 to 0.2.0"),
        ("evalplus-0.2.0_base_eval_results.json", {}, 0.6428571428571428, 9, "0.1 to 0.2.0"),
        ("evalplus-0.2.1_eval_results.json", {"metric": "base"}, 0.643, 9, "0.2.1 to 0.3"),
        ("evalplus-0.2.1_eval_results.json", {"metric": "plus"}, 0.321, 9, "0.2.1 to 0.3"),
        ("evalperf-0.3.1_evalperf_results.json", {}, 0.4166666666666667, 12, "EvalPerf of evalplus 0.3"),
        ("evalperf-0.3.1_evalperf_results.brief.json", {}, 0.4166666666666667, 12, "brief"),
        ("inspect-0.3.2.json", {}, 0.5555555555555556, 9, "spring 2024"),
        ("inspect-0.3.4.json", {}, 0.5555555555555556, 9, "spring 2024"),
        ("helm-0.5.16", {"metric": "exact_match"}, 0.6666666666666666, 6, "HELM 0.2 to 0.5"),
        ("bigcodebench-0.1.0_eval_results.json", {}, 0.5, 6, "BigCodeBench 0.1 to 0.2"),
        ("bigcodebench-0.2.5_eval_results.json", {}, 0.5, 6, "BigCodeBench 0.1 to 0.2"),
        ("lighteval-0.6.2.parquet", {"metric": "math_pass@1:4_samples"}, 0.5, 12, "0.3 to 0.7"),
        ("lighteval-0.7.0.parquet", {"metric": "math_pass@1:4_samples"}, 0.5, 12, "0.3 to 0.7"),
        ("lighteval-0.10.0.parquet", {"metric": "math_pass@1:4_samples"}, 0.5, 12, "0.8 to 0.10"),
        ("lighteval-0.13.0.parquet", {"metric": "avg@n:n=4"}, 0.5, 12, "0.11 to 0.13"),
        ("lm-eval-0.4.0", {"filter": "strict-match"}, 0.6666666666666666, 3, "0.4.0 to 0.4.2"),
        ("lm-eval-0.4.0", {"filter": "flexible-extract"}, 1.0, 3, "0.4.0 to 0.4.2"),
        ("lm-eval-0.4.1", {"filter": "strict-match"}, 0.6666666666666666, 3, "0.4.0 to 0.4.2"),
        ("lm-eval-0.4.2", {"filter": "strict-match"}, 0.6666666666666666, 3, "0.4.0 to 0.4.2"),
        ("lm-eval-0.4.5", {"filter": "strict-match"}, 0.6666666666666666, 3, "0.4.3 to 0.4.6"),
        ("lm-eval-0.4.5", {"filter": "flexible-extract"}, 1.0, 3, "0.4.3 to 0.4.6"),
        ("lm-eval-0.4.9", {"filter": "strict-match"}, 0.6666666666666666, 3, "0.4.7 to 0.4.13"),
        ("livecodebench", {"task": "codegeneration"}, 0.3333333333333333, 6, "LiveCodeBench"),
        ("livecodebench", {"task": "testoutputprediction"}, 0.3333333333333333, 9, "LiveCodeBench"),
        ("livecodebench", {"task": "codeexecution"}, 0.5555555555555555, 9, "LiveCodeBench"),
        ("simple-evals", {"task": "gpqa"}, 0.16666666666666666, 12, "simple-evals"),
        ("simple-evals", {"task": "humaneval"}, 0.5333333333333333, 15, "simple-evals"),
        ("every-eval-ever-0.3.0-lm-eval.jsonl", {"task": "two_filters/strict-match"}, 2 / 3, 3, "0.3.0"),
        # inspect's own accuracy of the log that was converted; every one of its five epochs says their mean.
        ("every-eval-ever-0.3.0-inspect.jsonl", {}, 0.15, 20, "every_eval_ever 0.3.0"),
        ("bigcode-logs.json", {}, 0.6, 20, "code_eval"),
        ("nemo-rl/train_data_step7.jsonl", {}, 0.25, 4, "the prompt in content"),
        ("nemo-rl/val_data_step7.jsonl", {}, 0.25, 4, "the prompt in content"),
        ("nemo-rl/eval", {}, 0.25, 4, "the prompt in prompt"),
        ("verifiers-0.1.3", {}, 0.3333333333333333, 6, "the prompt in prompt"),
        ("verifiers-0.1.9", {}, 0.3333333333333333, 6, "example_id"),
        ("verifiers-0.2.1_traces.jsonl", {"errors": "fail"}, 0.3333333333333333, 6, "verifiers 0.2"),
        ("verifiers-0.3.1_traces.jsonl", {"errors": "fail"}, 0.3333333333333333, 6, "verifiers 0.3"),
    ],
)
def test_the_tools_own_means_come_out(
    file: str, choices: dict[str, Any], mean: float, samples: int, layout: str
) -> None:
    counts = read_results(WRITTEN / file, **choices)
    assert counts.frame["n_samples"].sum() == samples
    # 0.643 is printed so.
    tolerance = 5e-4 if len(str(mean)) == 5 else 1e-12
    assert estimate(counts, k=1).frame["pass_at_k"].to_list() == pytest.approx([mean], abs=tolerance)
    assert any(layout in note for note in counts.notes)


def test_inspect_ids_one_and_one_are_two_problems() -> None:
    # inspect-ai 0.3.20 pools them in its own mean, which is 0.5833; the epochs are right in 3, 0 and 2 cases.
    for version in ("0.3.2", "0.3.4", "0.3.20"):
        counts = read_results(WRITTEN / f"inspect-{version}.json")
        rows = counts.frame.select("problem", "n_samples", "n_correct").rows()
        assert rows[:2] == [("1", 3, 3), ('"1"', 3, 0)]
        assert rows[2][:2] == ("x", 3)
        assert counts.notes[0].startswith("ids that are a number and a text alike are two problems")


@pytest.mark.parametrize(
    ("file", "model", "task"),
    [
        ("lm-eval-0.4.0", "me/rote-1b", "my_sums"),
        ("lm-eval-0.4.5", "me/rote-1b", "two_filters"),
        ("livecodebench/GPT-4O-2024-05-13", "GPT-4O-2024-05-13", "codegeneration"),
        ("simple-evals", "gpt-4o", "gpqa"),
        ("nemo-rl/eval", "me/small", "sums"),
        ("verifiers-0.1.3", "me/small", "sums"),
        ("verifiers-0.1.9", "me/small", "sums"),
        ("verifiers-0.2.1_traces.jsonl", "me/small", "sums"),
        ("verifiers-0.3.1_traces.jsonl", "me/small", "sums"),
    ],
)
def test_models_and_tasks_are_named_where_the_tools_name_them(file: str, model: str, task: str) -> None:
    choices: dict[str, Any] = {"filter": "strict-match"} if file.startswith("lm-eval") else {}
    counts = read_results(WRITTEN / file, task=task, **choices)
    assert counts.frame.select("model", "task").unique().rows() == [(model, task)]


def test_livecodebench_scenarios_ask_a_question_in_parts() -> None:
    counts = read_results(WRITTEN / "livecodebench")
    rows = counts.frame.select("task", "problem", "n_samples", "n_correct").sort("task", "problem").rows()
    assert rows == [
        ("codeexecution", "q1/sample_0", 3, 2),
        ("codeexecution", "q1/sample_1", 3, 3),
        ("codeexecution", "q2/sample_2", 3, 0),
        ("codegeneration", "abc1", 3, 2),
        ("codegeneration", "abc2", 3, 0),
        ("testoutputprediction", "q1/0", 3, 2),
        ("testoutputprediction", "q1/1", 3, 1),
        ("testoutputprediction", "q2/0", 3, 0),
    ]
    folder = WRITTEN / "livecodebench" / "GPT-4O-2024-05-13"
    for name, message in (("", "is not graded: run it with --evaluate"), ("_eval", "holds its metrics")):
        with pytest.raises(ValueError, match=rf"LiveCodeBench and {message}.*_eval_all\.json"):
            read_results(folder / f"Scenario.codegeneration_3_0.2{name}.json")


def test_simple_evals_keeps_all_completions_of_a_problem() -> None:
    counts = read_results(WRITTEN / "simple-evals", task="humaneval")
    # Its pass@2 is the same estimator's, and is in the file.
    assert sorted(counts.frame.select("n_samples", "n_correct").rows()) == [(5, 1), (5, 2), (5, 5)]
    assert estimate(counts, k=2).frame["pass_at_k"].to_list() == pytest.approx([0.7], abs=1e-12)


def test_steps_of_nemo_rl_are_models_by_their_files(tmp_path: Path) -> None:
    for step in (7, 8):
        content = (WRITTEN / "nemo-rl" / "train_data_step7.jsonl").read_text()
        (tmp_path / f"train_data_step{step}.jsonl").write_text(content)
    counts = read_results(tmp_path)
    assert counts.frame["model"].unique().sort().to_list() == ["train_data_step7", "train_data_step8"]
    assert "models are called as their files are" in counts.notes[1]
    # A system's prompt may come before the user's; where a conversation is longer, nothing says who spoke.
    row = '{"content": [%s], "rewards": [1.0]}\n'
    path = tmp_path / "other.jsonl"
    path.write_text(row % '["be brief", "2+2=", "4"]' + row % '["be brief", "2+3=", "4"]')
    assert len(read_results(path)) == 2
    path.write_text(row % '["2+2=", "4", "sure?", "yes"]')
    with pytest.raises(ValueError, match="has 4 texts, which do not say whose they are"):
        read_results(path)
    path.write_text(row % '"2+2=4"')
    with pytest.raises(ValueError, match="is one text, of which prompt and answer cannot be told apart"):
        read_results(path)


def test_verifiers_traces() -> None:
    path = WRITTEN / "verifiers-0.4.0_traces.jsonl"
    counts = read_results(path)
    assert counts.frame.select("model", "task").unique().rows() == [("me/small", "sums")]
    assert counts.frame.select("n_samples", "n_correct").rows() == [(3, 2), (2, 0)]
    assert [(part.rows, part.reason) for part in counts.left_out] == [(1, "sample that ended in an error")]
    usage = counts.frame.select("prompt_tokens", "output_tokens", "wall_seconds").rows()
    assert usage == [(15.0, 6.0, 6.0), (10.0, 4.0, 4.0)]
    failed = read_results(path, errors="fail")
    assert failed.frame.select("n_samples", "n_correct").rows() == [(3, 2), (3, 0)]
    # A weight of 0 takes part in no reward, but the reward by itself can be asked for.
    formed = read_results(path, metric="form")
    assert formed.frame.select("n_samples", "n_correct").rows() == [(3, 3), (2, 2)]


def test_bigcodebench_means_point_to_the_samples() -> None:
    with pytest.raises(
        ValueError, match=r"written by BigCodeBench and holds means .*_eval_results\.json beside"
    ):
        read_results(WRITTEN / "bigcodebench-0.2.5_pass_at_k.json")


def test_a_folder_of_prime_rl_has_a_model_a_step_and_no_sample_twice(tmp_path: Path) -> None:
    # As its FileMonitor appends them: rollouts/step_N/KIND/SUBSET/traces.jsonl.
    episodes = (WRITTEN / "verifiers-0.4.0_traces.jsonl").read_text()
    for step in (1, 2):
        for subset in ("all", "effective"):
            for kind in ("train", "eval"):
                folder = tmp_path / "rollouts" / f"step_{step}" / kind / subset
                folder.mkdir(parents=True)
                (folder / "traces.jsonl").write_text(episodes)
    (tmp_path / "metrics.jsonl").write_text('{"step": 1, "time": 1.0, "reward/mean": 0.5}\n')
    alone = read_results(WRITTEN / "verifiers-0.4.0_traces.jsonl")
    counts = read_results(tmp_path)
    assert counts.frame["model"].unique().sort().to_list() == ["me/small step_1", "me/small step_2"]
    for (_,), part in counts.frame.group_by("model"):
        assert part.drop("model").equals(alone.frame.drop("model"))
    reasons = [part.reason for part in counts.left_out]
    assert "files of prime-rl's training beside its evaluations: 4" in reasons
    assert "files of effective rollouts, which are among all: 2" in reasons
    one = read_results(tmp_path / "rollouts" / "step_1" / "train" / "all")
    assert one.frame.equals(alone.frame)
    kept = read_results(tmp_path / "rollouts" / "step_1" / "train" / "effective")
    assert any(note.startswith("effective rollouts alone") for note in kept.notes)


def test_a_folder_of_bigcode_has_generations_beside_its_logs(tmp_path: Path) -> None:
    (tmp_path / "logs.json").write_text((WRITTEN / "bigcode-logs.json").read_text())
    (tmp_path / "generations_humanevalpack.json").write_text('[["def f(x): return 2 * x"]]')
    (tmp_path / "evaluation_results.json").write_text('{"humanevalsynthesize-python": {"pass@1": 0.6}}')
    counts = read_results(tmp_path)
    assert counts.frame.select("n_samples", "n_correct").rows() == [(5, 3), (5, 0), (5, 5), (5, 4)]
    assert [part.reason for part in counts.left_out] == [
        "files of no known kind: generations_humanevalpack.json"
    ]


def test_a_folder_of_large_language_monkeys_holds_its_verdicts() -> None:
    counts = read_results(WRITTEN / "large-language-monkeys", model="rote", task="gsm8k")
    assert counts.frame.drop("model", "task").rows() == [("0", 5, 3), ("7", 5, 1)]


def test_steps_of_prime_rl_are_models_and_no_rollout_counts_twice() -> None:
    counts = read_results(WRITTEN / "prime-rl", errors="fail")
    # As of verifiers' own file, whose episodes these are: "effective" holds some of them again.
    alone = read_results(WRITTEN / "verifiers-0.4.0_traces.jsonl", errors="fail")
    by_step = counts.frame.partition_by("model")
    assert [frame["model"][0] for frame in by_step] == ["me/small step_0", "me/small step_5"]
    for frame in by_step:
        assert frame.drop("model").rows() == alone.frame.drop("model").rows()
