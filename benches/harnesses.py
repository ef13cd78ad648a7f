"""The engine inside lm-eval and inspect-ai, beside their own models of transformers: the same tasks, one run.

Run as `python benches/harnesses.py [--model FOLDER] [--documents N]`. Two tasks are made here, with solved
examples before each question: one of choices, which are scored, one of greedy text. The model is a random
Llama unless one is given. Each side evaluates both by the harness's own functions, in float32 on the CPU; a
ratio is printed only where scores and texts are the same.
"""

from __future__ import annotations

import argparse
import logging
import random
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import _bench

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "harnesses"))
from made_tasks import write_tasks
from random_llama import WORDS, write_llama

SIZES = {"hidden_size": 384, "intermediate_size": 1024, "num_hidden_layers": 6, "num_attention_heads": 6}
BATCH = 16


def documents(count: int) -> list[dict[str, Any]]:
    """Questions behind the same five solved examples."""
    rng = random.Random(0)

    def text(words: int) -> str:
        return " ".join(rng.choices(WORDS, k=words))

    head = "".join(f"Q {text(20)} A {text(3)}\n" for _ in range(5))
    return [
        {"text": f"{head}Q {text(20)} A", "choices": [text(3) for _ in range(4)], "answer": i % 4}
        for i in range(count)
    ]


def lm_eval_side(model: Any, task: str, folder: Path) -> Callable[[], list[Any]]:
    """What lm-eval has of a task: the responses of the model, and the scores that it makes of them."""
    from lm_eval import simple_evaluate
    from lm_eval.tasks import TaskManager

    tasks = TaskManager(include_path=str(folder), include_defaults=False)

    def evaluate() -> list[Any]:
        found = simple_evaluate(
            model=model, tasks=[task], task_manager=tasks, bootstrap_iters=0, verbosity="ERROR"
        )
        samples = sorted(found["samples"][task], key=lambda row: row["doc_id"])
        return [[row["filtered_resps"], row.get("acc", row.get("exact_match"))] for row in samples]

    return evaluate


def inspect_side(model: Any, docs: list[dict[str, Any]], logs: Path) -> Callable[[], list[Any]]:
    """What inspect-ai has of the task of text."""
    import inspect_ai
    from inspect_ai.dataset import Sample
    from inspect_ai.scorer import includes
    from inspect_ai.solver import generate

    samples = [Sample(id=i, input=doc["text"], target=doc["choices"][0]) for i, doc in enumerate(docs)]
    task = inspect_ai.Task(dataset=samples, solver=generate(), scorer=includes())

    def evaluate() -> list[Any]:
        (log,) = inspect_ai.eval(task, model=model, log_dir=str(logs), display="none", max_tokens=24)
        assert log.status == "success", log.error
        return [sample.output.completion for sample in sorted(log.samples, key=lambda sample: sample.id)]

    return evaluate


def apart(ours: list[Any], peer: list[Any]) -> float:
    """The largest difference of numbers; infinite where anything else differs."""
    worst = 0.0
    for one, other in zip(ours, peer, strict=True):
        if isinstance(one, list | tuple):
            worst = max(worst, apart(list(one), list(other)))
        elif isinstance(one, float) and isinstance(other, float):
            worst = max(worst, abs(one - other))
        elif one != other:
            return float("inf")
    return worst


def main() -> int:
    """Time every task on both sides."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, help="a Hugging Face folder")
    parser.add_argument("--documents", type=int, default=48)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)
    import inspect_ai.model
    from lm_eval.models.huggingface import HFLM
    from t2fast.harnesses import inspect_ai as _  # noqa: F401 (what the entry point does)
    from t2fast.harnesses.lm_eval import T2Fast

    print(_bench.HEADER)
    status = 0
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        model = arguments.model or write_llama(folder / "model", max_position_embeddings=1024, **SIZES)
        docs = documents(arguments.documents)
        write_tasks(folder, docs, until="Q", most_tokens=24)
        ours = T2Fast(str(model), dtype="float32")
        peer = HFLM(str(model), dtype="float32", device="cpu", batch_size=BATCH)
        sides = [
            (f"lm-eval, {name}", lm_eval_side(ours, task, folder), lm_eval_side(peer, task, folder))
            for name, task in (("choices", "made_choice"), ("text", "made_text"))
        ]
        get = inspect_ai.model.get_model
        greedy = {"device": "cpu", "do_sample": False, "dtype": "float32"}
        config = inspect_ai.model.GenerateConfig(temperature=0)
        whole = inspect_ai.model.GenerateConfig(max_connections=len(docs))
        sides.append(
            (
                "inspect-ai, text",
                inspect_side(get(f"t2fast/{model}", config=config, dtype="float32"), docs, folder),
                inspect_side(get(f"hf/{model}", config=whole, **greedy), docs, folder),
            )
        )
        for case, own, theirs in sides:
            difference = apart(own(), theirs())
            if difference > 1e-3:
                print(f"{case}: the sides differ by {difference:g}, so no time is given")
                status = 1
                continue
            pair = _bench.alternate(own, theirs, repeats=arguments.repeats)
            agreement = f"{len(docs)} documents, at most {difference:.1g} apart"
            print(_bench.row(case, "hf", pair, goal="-", agreement=agreement, limit="1e-3"), flush=True)
    return status


if __name__ == "__main__":
    sys.exit(main())
