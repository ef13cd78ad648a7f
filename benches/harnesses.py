"""The engine inside lm-eval and inspect-ai, beside their own models of transformers: the same tasks, one run.

Run as `python -m benches harnesses [--only ROW ...]`. Two tasks are made here, with solved examples before
each question: one of choices, which are scored, one of greedy text. The model is a random Llama unless one is
given. Each side evaluates both by the harness's own functions, in float32 on the CPU; a ratio is printed only
where scores and texts are the same. With `--cpu` both have one thread, and times are the processor's, which
say more than the clock where a machine is at work.
"""

from __future__ import annotations

import argparse
import logging
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import _bench

os.environ.setdefault("TQDM_DISABLE", "1")  # read when tqdm is imported: bars amid a table
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "harnesses"))
from made_tasks import write_tasks
from random_llama import WORDS, write_llama

SIZES = {"hidden_size": 384, "intermediate_size": 1024, "num_hidden_layers": 6, "num_attention_heads": 6}
BATCH = 16
MOST_TOKENS = 24
ROWS = ("choices", "text", "inspect-text")
LIMIT = 1e-3


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
        (log,) = inspect_ai.eval(task, model=model, log_dir=str(logs), display="none", max_tokens=MOST_TOKENS)
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


def lm_eval_sides(model: Path, threads: int | None) -> tuple[Any, Any]:
    """Our model of lm-eval and its own."""
    from lm_eval.models.huggingface import HFLM
    from t2fast.harnesses.lm_eval import T2Fast

    ours = T2Fast(str(model), dtype="float32", threads=threads)
    return ours, HFLM(str(model), dtype="float32", device="cpu", batch_size=BATCH)


def inspect_sides(model: Path, threads: int | None, count: int) -> tuple[Any, Any]:
    """Our model of inspect-ai and its own."""
    import inspect_ai.model
    from t2fast.harnesses import inspect_ai as _  # noqa: F401 (what the entry point does)

    get = inspect_ai.model.get_model
    greedy = inspect_ai.model.GenerateConfig(temperature=0)
    at_once = inspect_ai.model.GenerateConfig(max_connections=count)
    ours = get(f"t2fast/{model}", config=greedy, dtype="float32", threads=threads)
    return ours, get(f"hf/{model}", config=at_once, device="cpu", do_sample=False, dtype="float32")


def main() -> int:
    """Time every task on both sides."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", choices=ROWS, default=ROWS, metavar="ROW", help=", ".join(ROWS))
    parser.add_argument("--model", type=Path, help="a Hugging Face folder")
    parser.add_argument("--documents", type=int, default=16, help="of each task (default: 16)")
    parser.add_argument("--repeats", type=int, default=3, help="runs of each side (default: 3)")
    parser.add_argument("--cpu", action="store_true", help="one thread, and the processor's time")
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)
    threads = None
    if arguments.cpu:
        import torch

        threads = 1
        torch.set_num_threads(1)
    clock = time.process_time if arguments.cpu else time.perf_counter
    print(f"{'processor time, one thread; ' if arguments.cpu else ''}{_bench.machine()}\n\n{_bench.HEADER}")
    status = 0
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        model = arguments.model or write_llama(folder / "model", max_position_embeddings=1024, **SIZES)
        docs = documents(arguments.documents)
        write_tasks(folder, docs, until="Q", most_tokens=MOST_TOKENS)
        for name in arguments.only:
            if name == "inspect-text":
                own, theirs = (
                    inspect_side(one, docs, folder) for one in inspect_sides(model, threads, len(docs))
                )
            else:
                task = "made_choice" if name == "choices" else "made_text"
                own, theirs = (lm_eval_side(one, task, folder) for one in lm_eval_sides(model, threads))
            difference = apart(own(), theirs())
            case = f"{'inspect-ai' if name == 'inspect-text' else 'lm-eval'}, {name.split('-')[-1]}"
            if difference > LIMIT:
                print(f"{case}: the sides differ by {difference:g}, so no time is given")
                status = 1
                continue
            pair = _bench.alternate(own, theirs, repeats=arguments.repeats, clock=clock)
            agreement = f"{len(docs)} documents, at most {difference:.1g} apart"
            print(_bench.row(case, "hf", pair, goal="-", agreement=agreement, limit=f"{LIMIT:g}"), flush=True)
    return status


if __name__ == "__main__":
    sys.exit(main())
