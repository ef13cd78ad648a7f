"""lm-eval: results and samples that it wrote itself, of a model that answers by rote."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from t2fast.cli.main import main
from t2fast.readers import read_results

# Of the sums below these are right at places 0 and 3, 1 and 2, 2 and 3, 0 and 3.
ANSWERS = ["It is 4", "#### 5", "#### 5", "#### 4"]
# The last document is the first again, as data sets do have it.
DOCUMENTS = [{"q": "2+2", "a": "4"}, {"q": "2+3", "a": "5"}, {"q": "1+4", "a": "5"}, {"q": "2+2", "a": "4"}]
STRICT = {
    "name": "strict-match",
    "filter": [{"function": "regex", "regex_pattern": r"#### (\d+)"}, {"function": "take_first"}],
}
FLEXIBLE = {
    "name": "flexible-extract",
    "filter": [{"function": "regex", "regex_pattern": r"(\d+)"}, {"function": "take_first"}],
}
ALL_FOUR = {"name": "all", "filter": [{"function": "take_first_k", "k": 4}]}

Evaluate = Callable[..., Path]


@pytest.fixture(scope="module")
def evaluate(tmp_path_factory: pytest.TempPathFactory) -> Evaluate:
    """A function that runs lm-eval into a folder and returns the folder of the model."""
    os.environ.update(HF_HUB_OFFLINE="1", HF_DATASETS_OFFLINE="1", TQDM_DISABLE="1")
    os.environ["HF_HOME"] = os.environ["HF_DATASETS_CACHE"] = str(tmp_path_factory.mktemp("hf"))
    lm_eval = pytest.importorskip("lm_eval", reason="lm-eval is not installed (t2fast[readers-test])")
    from lm_eval.api.model import LM
    from lm_eval.api.registry import register_model
    from lm_eval.api.task import ConfigurableTask
    from lm_eval.loggers import EvaluationTracker
    from lm_eval.tasks import TaskManager

    manager = TaskManager(include_defaults=False)  # to index the thousands of its own tasks takes long
    data = tmp_path_factory.mktemp("data") / "documents.jsonl"
    data.write_text("".join(json.dumps(document) + "\n" for document in DOCUMENTS))

    @register_model("by-rote")
    class ByRote(LM):  # type: ignore[misc]
        """Gives its answers in turn; says how large it is, as lm-eval's models for Hugging Face do."""

        def __init__(self, pretrained: str, size: int = -1, shift: int = 0, **_: Any) -> None:
            super().__init__()
            self.size, self.given = size, shift

        def generate_until(self, requests: list[Any], disable_tqdm: bool = False) -> list[str]:
            del disable_tqdm
            self.given += len(requests)
            return [ANSWERS[(self.given - len(requests) + i) % 4] for i in range(len(requests))]

        def loglikelihood(self, requests: list[Any], disable_tqdm: bool = False) -> list[tuple[float, bool]]:
            del disable_tqdm
            return [(-float(i), False) for i in range(len(requests))]

        def loglikelihood_rolling(self, requests: list[Any], disable_tqdm: bool = False) -> list[float]:
            raise AssertionError(f"no task here scores whole documents: {len(requests)} requests")

        def get_model_info(self) -> dict[str, Any]:
            return {"model_num_parameters": self.size}

    def run(
        out: Path,
        *,
        task: str = "tiny_sums",
        model: str = "me/rote-1b",
        size: int = -1,
        shift: int = 0,
        **config: Any,
    ) -> Path:
        settings: dict[str, Any] = {
            "task": task,
            "dataset_path": "json",
            "dataset_kwargs": {"data_files": {"test": str(data)}},
            "test_split": "test",
            "output_type": "generate_until",
            "doc_to_text": "{{q}} =",
            "doc_to_target": "{{a}}",
            "generation_kwargs": {"until": ["\n\n"], "do_sample": True},
            "metric_list": [{"metric": "exact_match", "aggregation": "mean", "higher_is_better": True}],
            **config,
        }
        tracker = EvaluationTracker(output_path=str(out))
        results = lm_eval.simple_evaluate(
            model="by-rote",
            model_args={"pretrained": model, "size": size, "shift": shift},
            tasks=[ConfigurableTask(config=settings)],
            log_samples=True,
            evaluation_tracker=tracker,
            bootstrap_iters=0,
            task_manager=manager,
        )
        samples = results.pop("samples")
        tracker.save_results_aggregated(results=results, samples=samples)
        for name, rows in samples.items():
            tracker.save_results_samples(task_name=name, samples=rows)
        return out / model.replace("/", "__")

    return run


@pytest.fixture(scope="module")
def two_filters(evaluate: Evaluate, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One response a document under two filters, with N."""
    out = tmp_path_factory.mktemp("two filters")
    return evaluate(out, size=1_000_000_000, filter_list=[STRICT, FLEXIBLE])


@pytest.fixture(scope="module")
def repeated(evaluate: Evaluate, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four responses a document under the filter that lm-eval takes by default, without N."""
    return evaluate(tmp_path_factory.mktemp("repeated"), repeats=4, task="sums_2025-01-01_b")


def only(folder: Path, pattern: str) -> Path:
    (path,) = folder.glob(pattern)
    return path


def test_a_filter_is_chosen_or_n_would_double(two_filters: Path) -> None:
    with pytest.raises(ValueError, match=r"has 2 filters, 'flexible-extract', 'strict-match': choose one"):
        read_results(two_filters)
    strict = read_results(two_filters, filter="strict-match")
    assert strict.n.tolist() == [1, 1, 1, 1]
    assert strict.c.tolist() == [0, 1, 1, 1]
    assert read_results(two_filters, filter="flexible-extract").c.tolist() == [1, 1, 1, 1]
    assert [part.rows for part in strict.left_out] == [4]
    mean = json.loads(only(two_filters, "results_*").read_text())["results"]["tiny_sums"]
    assert strict.c.mean() == mean["exact_match,strict-match"]
    with pytest.raises(ValueError, match="has no filter 'strict'; it has"):
        read_results(two_filters, filter="strict")


def test_lists_that_are_no_scores_of_responses_are_refused(evaluate: Evaluate, tmp_path: Path) -> None:
    """IFEval has one truth an instruction, of the first response."""

    def instructions(document: Mapping[str, str], results: list[str]) -> dict[str, Any]:
        return {"each": [True, False, document["a"] in results[0]], "all": document["a"] in results[0]}

    def mean(values: list[Any]) -> float:
        return sum(map(bool, values)) / len(values)

    metrics = [{"metric": name, "aggregation": mean, "higher_is_better": True} for name in ("each", "all")]
    for repeats, fault in (
        (1, "has 3 scores for 1 response: it does not say"),
        (4, "is one score for 4 resp"),
    ):
        folder = evaluate(
            tmp_path / str(repeats), repeats=repeats, process_results=instructions, metric_list=metrics
        )
        with pytest.raises(ValueError, match=f"each in row 1 of .* {fault}"):
            read_results(folder, metric="each")
    assert read_results(tmp_path / "1", metric="all").n.tolist() == [1, 1, 1, 1]


def test_a_filter_may_leave_responses_out(evaluate: Evaluate, tmp_path: Path) -> None:
    def each(document: Mapping[str, str], results: list[list[str]]) -> dict[str, Any]:
        return {"acc": [document["a"] in response for response in results[0]]}

    def mean(values: list[list[bool]]) -> float:
        return sum(sum(value) / len(value) for value in values) / len(values)

    two = {"name": "two", "filter": [{"function": "take_first_k", "k": 2}]}
    folder = evaluate(
        tmp_path,
        repeats=4,
        process_results=each,
        metric_list=[{"metric": "acc", "aggregation": mean, "higher_is_better": True}],
        filter_list=[two],
    )
    counts = read_results(folder)
    assert counts.n.tolist() == [2, 2, 2, 2]
    assert counts.c.tolist() == [1, 1, 1, 1]  # of the first two of ANSWERS: 4, 5, 5, 4
    assert [(part.rows, part.reason) for part in counts.left_out] == [
        (8, "response that the filter left out")
    ]


def test_model_task_and_n_come_from_the_results(two_filters: Path) -> None:
    models = {"model": ["me/rote-1b"], "n_tokens": [3e11]}
    paths = (two_filters.parent, only(two_filters, "samples_*"), only(two_filters, "results_*"))
    first, *others = (read_results(path, filter="strict-match", models=models) for path in paths)
    assert first.frame.row(0)[:4] == ("me/rote-1b", 1e9, 3e11, "tiny_sums")
    assert all(other.frame.equals(first.frame) for other in others)


def test_a_document_there_twice_is_two_problems(two_filters: Path) -> None:
    problems = read_results(two_filters, filter="strict-match").frame["problem"].to_list()
    assert problems[3] == f"{problems[0]}#2"
    assert len(set(problems)) == 4


def test_one_score_of_many_responses_is_no_count(repeated: Path) -> None:
    row = json.loads(only(repeated, "samples_*").read_text().splitlines()[0])
    assert len(row["resps"][0]) == 4
    assert isinstance(row["exact_match"], float)
    with pytest.raises(ValueError, match=r"exact_match in row 1 of .* is one score for 4 responses"):
        read_results(repeated)


def test_responses_scored_anew(repeated: Path, capsys: pytest.CaptureFixture[str]) -> None:
    by_pattern = read_results(repeated, answer=r"\d+")
    assert by_pattern.n.tolist() == [4, 4, 4, 4]
    assert by_pattern.c.tolist() == [2, 2, 2, 2]
    assert by_pattern.frame["task"].unique().to_list() == ["sums_2025-01-01_b"]
    assert "n_params" not in by_pattern.frame.columns  # lm-eval wrote -1
    assert read_results(repeated, answer=r"#### (\d+)").c.tolist() == [1, 2, 2, 1]

    def rule(row: Mapping[str, Any], response: str) -> bool:
        return response.endswith(row["doc"]["a"])

    assert read_results(repeated, answer=rule).c.tolist() == [2, 2, 2, 2]
    assert main(["passk", str(repeated), "--answer", r"(\d+)", "-k", "4", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["rows"][0]["pass_at_k"] == 1.0
    for answer, message in (
        ("(", "no regular expression"),
        (lambda *_: 1, "gave 1 for row 1 of .*, not True"),
    ):
        with pytest.raises(ValueError, match=message):
            read_results(repeated, answer=answer)
    with pytest.raises(ValueError, match="leave metric= out"):
        read_results(repeated, answer=r"\d+", metric="exact_match")


def test_a_list_of_scores_is_a_count(evaluate: Evaluate, tmp_path: Path) -> None:
    def process_results(doc: dict[str, str], results: list[list[str]]) -> dict[str, list[int]]:
        return {
            "right": [int(response.endswith(doc["a"])) for response in results[0]],
            "marked": [int(response.startswith("####")) for response in results[0]],
        }

    def first(items: list[list[int]]) -> float:
        return sum(item[0] for item in items) / len(items)

    metrics = [
        {"metric": name, "aggregation": first, "higher_is_better": True} for name in ("right", "marked")
    ]
    folder = evaluate(
        tmp_path, repeats=4, filter_list=[ALL_FOUR], process_results=process_results, metric_list=metrics
    )
    with pytest.raises(ValueError, match=r"row 1 of .* has 2 metrics, 'marked', 'right': choose one"):
        read_results(folder)
    assert read_results(folder, metric="right").frame.select("n_samples", "n_correct").rows() == [(4, 2)] * 4
    assert read_results(folder, metric="marked").c.tolist() == [3, 3, 3, 3]


def test_single_sample_runs_join_on_the_document(evaluate: Evaluate, tmp_path: Path) -> None:
    for shift in range(4):
        folder = evaluate(tmp_path, shift=shift, filter_list=[FLEXIBLE])
    assert len(list(folder.glob("samples_*"))) == 4
    with pytest.raises(ValueError, match="duplicates='sum'"):
        read_results(folder)
    joined = read_results(folder, duplicates="sum")
    assert joined.frame.select("n_samples", "n_correct").rows() == [(4, 2)] * 4


def test_several_models_and_tasks(two_filters: Path, repeated: Path, tmp_path: Path) -> None:
    for name, folder in (("a", two_filters), ("b", repeated)):
        (tmp_path / name).mkdir()
        for file in folder.iterdir():
            (tmp_path / name / file.name).write_bytes(file.read_bytes())
    counts = read_results(tmp_path, task="tiny_sums", filter="strict-match")
    assert counts.n.tolist() == [1, 1, 1, 1]
    assert counts.left_out[-1].reason == "task other than 'tiny_sums' (1 files)"
    with pytest.raises(ValueError, match="has no filter 'strict-match'; it has 'none'"):
        read_results(tmp_path, filter="strict-match")
    both = read_results(tmp_path, answer=r"\d+")
    assert both.frame.group_by("task").len().sort("task")["len"].to_list() == [4, 4]
    only(tmp_path / "b", "results_*").unlink()
    with pytest.raises(ValueError, match=r"some runs of .* name their model and others do not"):
        read_results(tmp_path, answer=r"\d+")


def test_choices_scored_by_likelihood_are_refused(evaluate: Evaluate, tmp_path: Path) -> None:
    folder = evaluate(
        tmp_path,
        output_type="multiple_choice",
        doc_to_choice=["4", "5"],
        doc_to_target="{{ 0 if a == '4' else 1 }}",
        metric_list=[{"metric": "acc", "aggregation": "mean", "higher_is_better": True}],
    )
    with pytest.raises(ValueError, match=r"resps in row 1 of .* are log-probabilities of given answers"):
        read_results(folder)


def test_results_without_samples(two_filters: Path, tmp_path: Path) -> None:
    results = only(two_filters, "results_*")
    (tmp_path / results.name).write_bytes(results.read_bytes())
    with pytest.raises(ValueError, match=r"holds means alone, .* --log_samples"):
        read_results(tmp_path / results.name)


def test_samples_without_results_do_not_name_their_model(two_filters: Path, tmp_path: Path) -> None:
    path = tmp_path / "samples.jsonl"
    path.write_bytes(only(two_filters, "samples_*").read_bytes())
    counts = read_results(path, filter="strict-match", model="m", task="sums")
    assert counts.frame.row(0)[:2] == ("m", "sums")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"doc_id": 0', '"doc_id": "0"', "doc_id in row 1 of .* is '0', not a whole number"),
        ('"doc_id": 1,', '"doc_id": 0,', "row 2 of .* repeats document 0, which is in row 1"),
        ('"resps": [[', '"resps": [[1, ', "resps in row 1 of .* is 1, not text"),
        ('"resps": [[', '"resps": [[], [', "resps in row 1 of .* are log-prob"),
        ('"filter": "strict-match"', '"filter": null', "filter in row 1 of .* is missing"),
        ('"metrics": ["exact_match"]', '"metrics": "exact_match"', "metrics in row 1 of .*, not an array"),
        ('"metrics": ["exact_match"]', '"metrics": ["acc"]', "acc in row 1 of .* is missing, not a number"),
        ('"exact_match": 0', '"exact_match": 0.5, "x": 0', "exact_match in row 1 .* is 0.5, neither 0 nor 1"),
        ('"exact_match": 0', '"exact_match": [0, 1], "x": 0', "has 2 scores for 1 response: it does not say"),
        ('"exact_match": 0', '"exact_match": {"a": 1}, "x": 0', "is an object, not a number"),
        ('"exact_match": 0', '"exact_match": ' + "9" * 5000 + ', "x": 0', "row 1 of .* is no JSON"),
        ('"exact_match": 0', '"exact_match": ' + "9" * 999 + ', "x": 0', r"neither 0 nor 1"),
        ("{", "[" * 100_000 + "{", "is nested too deeply"),
        ("}\n", "\n", "row 1 of .* is no JSON"),
    ],
)
def test_faults_are_named(two_filters: Path, tmp_path: Path, old: str, new: str, message: str) -> None:
    path = tmp_path / "samples_x_2025-01-01T00-00-00.000000.jsonl"
    content = only(two_filters, "samples_*").read_text()
    assert old in content
    path.write_text(content.replace(old, new, 1))
    with pytest.raises(ValueError, match=message):
        read_results(path, filter="strict-match")


def test_nan_is_no_measurement(two_filters: Path, tmp_path: Path) -> None:
    path = tmp_path / "samples_x_2025-01-01T00-00-00.000000.jsonl"
    content = only(two_filters, "samples_*").read_text()
    path.write_text(content.replace('"exact_match": 0.0', '"exact_match": NaN', 1))
    counts = read_results(path, filter="strict-match")
    assert len(counts) == 3
    assert (1, "score is NaN") in [(part.rows, part.reason) for part in counts.left_out]


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_damage_is_an_error_or_harmless(
    tmp_path_factory: pytest.TempPathFactory, two_filters: Path, data: st.DataObject
) -> None:
    content = bytearray(only(two_filters, "samples_*").read_bytes())
    at = data.draw(st.integers(0, len(content) - 1))
    content[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    path = tmp_path_factory.mktemp("damaged") / "samples.jsonl"
    path.write_bytes(content)
    total, message = 4, ""
    try:
        total = read_results(path, filter="strict-match").n.sum()
    except ValueError as error:
        message = str(error)
    assert 3 <= total <= 4
    assert not message or "samples.jsonl" in message
