"""The command ``t2fast``: data on stdout, everything else on stderr.

Exit codes: 0 done, 1 the data or the request cannot be used (the message says why), 2 the command line
itself is wrong, 130 interrupted.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from rich.console import Console, RenderableType

from t2fast import _core, evaluate_cli, report
from t2fast.curve import estimate
from t2fast.decode import cli as sample
from t2fast.fitting import FitWarning, fit_accuracy, fit_chinchilla, fit_counts, fit_loss
from t2fast.laws import NAMES, Law, default_law
from t2fast.planning import frontier, plan
from t2fast.readers import cli as results
from t2fast.simulate import simulate_counts
from t2fast.tables import Counts, Likelihoods, Losses, read_likelihoods, read_losses

LARGEST_BUDGET = 1e25
"""Where a frontier ends, FLOPs."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; returns its exit code."""
    parser = _parser()
    arguments = parser.parse_args(argv)
    stderr = Console(stderr=True, highlight=False, soft_wrap=True)

    def show(message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> None:
        # A fit's or an estimate's own notes are printed with its result.
        if not issubclass(category, FitWarning | RuntimeWarning):
            stderr.print(f"warning: {message}", style="yellow", markup=False)

    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = show
        try:
            code: int | None = arguments.run(arguments)
            sys.stdout.flush()
        except (ValueError, OSError, ImportError) as error:
            if isinstance(error, BrokenPipeError):
                sys.stderr.close()
                return 0
            stderr.print(f"t2fast {arguments.command}: {error}", style="red", markup=False)
            return 1
        except KeyboardInterrupt:
            stderr.print("interrupted")
            return 130
    return code or 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="t2fast",
        description="How big a model, how many tokens, how many samples: Train-to-Test scaling laws.",
        epilog="example:  t2fast plan --train-flops 2.56e19 --inference-flops 2e9",
    )
    parser.add_argument("--version", action="version", version=f"t2fast {_core.__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_passk(commands)
    _add_fit(commands)
    _add_plan(commands)
    _add_simulate(commands)
    sample.add_parser(commands)
    evaluate_cli.add_parser(commands)
    return parser


def _command(
    commands: Any, name: str, run: Callable[[argparse.Namespace], None], says: str, example: str
) -> Any:
    command = commands.add_parser(
        name,
        help=says,
        description=says[0].upper() + says[1:] + ".",
        epilog=f"examples:\n{example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.set_defaults(run=run)
    command.add_argument("--json", action="store_true", help="print JSON for machines")
    return command


def _add_passk(commands: Any) -> None:
    command = _command(
        commands,
        "passk",
        _passk,
        "estimate pass@k from counts, without bias, with an interval clustered by problem",
        "  t2fast passk counts.csv -k 1,8,64\n"
        "  t2fast passk samples.jsonl -k 1,10 --columns problem=question,correct=solved --json\n"
        "  t2fast passk HumanEval_results.jsonl -k 1,10,100\n"
        "  t2fast passk lm-eval-output/ -k 1,16 --filter strict-match --duplicates sum",
    )
    _add_table(command)
    results.add_options(command)
    command.add_argument("-k", type=_integers, default=[1], metavar="K,K,...", help="samples (default: 1)")
    command.add_argument(
        "--level", type=float, default=0.95, help="confidence of the interval (default: 0.95)"
    )
    command.add_argument(
        "--extrapolate", action="store_true", help="beyond the samples drawn, by a fitted Beta-binomial"
    )


def _passk(arguments: argparse.Namespace) -> None:
    counts = _filtered(results.read(arguments, **_reading(arguments)), arguments)
    rows: list[dict[str, Any]] = []
    keys = [key for key in ("model", "n_params", "n_tokens", "task") if key in counts.frame.columns]
    groups = counts.frame.partition_by(keys, maintain_order=True) if keys else [counts.frame]
    for group in groups:
        named = {
            key: group[key][0] if key in keys else None for key in ("model", "n_params", "n_tokens", "task")
        }
        n, c = group["n_samples"].to_numpy(), group["n_correct"].to_numpy()
        curve = estimate(
            n,
            c,
            arguments.k,
            level=arguments.level,
            extrapolate=arguments.extrapolate,
            sequential=Counts(group).sequential,
        )
        for i, k in enumerate(curve.k):
            rows.append(
                {
                    **named,
                    "k": int(k),
                    "pass_at_k": _finite(curve.mean[i]),
                    "low": _finite(curve.low[i]),
                    "high": _finite(curve.high[i]),
                    "problems": int(curve.problems[i]),
                    "extrapolated": bool(curve.extrapolated[i]),
                    "note": curve.notes[i],
                }
            )
    data = {"source": counts.source, "level": arguments.level, "rows": rows, **_left_out(counts)}
    _print(arguments, data, lambda: report.pass_report(rows, arguments.level))


def _add_fit(commands: Any) -> None:
    command = _command(
        commands,
        "fit",
        _fit,
        "fit a law to a table of counts, likelihoods or losses",
        "  t2fast fit counts.csv --law accuracy -o law.json\n"
        "  t2fast fit losses.csv --law chinchilla --method huber\n"
        "  t2fast fit inspect-logs/ --law counts --scorer match --models models.csv\n"
        "  t2fast fit likelihoods.parquet --likelihoods --law loss --aggregate mean_log -o law.json",
    )
    _add_table(command)
    results.add_options(command)
    command.add_argument("--law", choices=NAMES, required=True, help="which law")
    command.add_argument("-o", "--output", metavar="LAW.json", help="keep the law in this file")
    command.add_argument("--likelihoods", action="store_true", help="the table holds p or log_likelihood")
    command.add_argument(
        "--losses", metavar="FILE", help="accuracy law: losses of the checkpoints, for stage 1"
    )
    command.add_argument("--ks", type=_integers, metavar="K,K,...", help="k to fit (default: 1,2,4,...,128)")
    command.add_argument(
        "--aggregate",
        choices=("log_mean", "mean_log"),
        default="log_mean",
        help="loss law: log of the mean pass@k, or mean of its log (default: log_mean)",
    )
    command.add_argument(
        "--method",
        choices=("least_squares", "huber", "projection", "restarts"),
        help="chinchilla: least_squares or huber; loss law: projection or restarts",
    )
    command.add_argument("--draws", type=int, default=200, help="bootstrap draws (default: 200)")
    command.add_argument("--seed", type=int, default=0, help="of the draws (default: 0)")


def _fit(arguments: argparse.Namespace) -> None:
    options: dict[str, Any] = {"draws": arguments.draws, "seed": arguments.seed}
    if arguments.draws < 0:
        raise ValueError(f"--draws {arguments.draws} must be 0 or more")
    if arguments.method is not None:
        methods = {"chinchilla": ("least_squares", "huber"), "loss": ("projection", "restarts")}
        if arguments.method not in methods.get(arguments.law, ()):
            raise ValueError(f"the {arguments.law} law has no method {arguments.method!r}")
        options["method"] = arguments.method
    reading = _reading(arguments)
    if arguments.law == "chinchilla" or arguments.likelihoods:
        results.refuse_options(arguments)
    if arguments.law == "chinchilla":
        if reading.pop("stage") is not None:
            raise ValueError("--stage chooses among counts or likelihoods; a table of losses has no stage")
        losses = _filtered(read_losses(arguments.file, **reading), arguments)
        law, table = fit_chinchilla(losses, **options), losses
    else:
        if arguments.likelihoods:
            measured = _filtered(read_likelihoods(arguments.file, **reading), arguments)
        else:
            measured = _filtered(results.read(arguments, **reading), arguments)
        law, table = _fit_measured(measured, arguments, options), measured
    law = Law(law.name, law.params, law.draws, law.domain, f"fitted to {table.source}", law.fit)
    if arguments.output:
        law.save(arguments.output)
        Console(stderr=True).print(f"law kept in {arguments.output}", markup=False, soft_wrap=True)
    data = {key: value for key, value in law.to_dict().items() if key != "draws"}
    _print(arguments, {**data, **_left_out(table)}, lambda: report.law_report(law))


def _fit_measured(table: Counts | Likelihoods, arguments: argparse.Namespace, options: dict[str, Any]) -> Law:
    if arguments.law == "loss":
        return fit_loss(table, ks=arguments.ks, aggregate=arguments.aggregate, **options)
    if arguments.law == "accuracy":
        losses = None if arguments.losses is None else read_losses(arguments.losses)
        return fit_accuracy(table, losses, ks=arguments.ks, **options)
    if not isinstance(table, Counts):
        raise ValueError("the counts law needs counts: n_samples and n_correct, not likelihoods")
    return fit_counts(table, ks=arguments.ks, **options)


def _add_plan(commands: Any) -> None:
    command = _command(
        commands,
        "plan",
        _plan,
        "choose parameters N, tokens D and samples k under two budgets, beside Chinchilla's choice",
        "  t2fast plan --train-flops 2.56e19 --inference-flops 2e9\n"
        "  t2fast plan --law law.json --train-flops 1e21 --inference-flops 1e10 --integer-k --json\n"
        "  t2fast plan --train-flops 1e20 --inference-flops 2e10 --frontier\n"
        "\nWithout --law, the law that ships with t2fast is used: fitted to Pythia's GSM8K counts.",
    )
    command.add_argument("--law", metavar="LAW.json", help="a law kept by `t2fast fit -o`")
    command.add_argument("--train-flops", type=float, required=True, metavar="C", help="training budget 6ND")
    command.add_argument("--inference-flops", type=float, metavar="C", help="FLOPs per token served, 2Nk")
    command.add_argument("--min-params", type=float, metavar="N")
    command.add_argument("--max-params", type=float, metavar="N")
    command.add_argument("--sizes", type=_numbers, metavar="N,N,...", help="choose N from these sizes alone")
    command.add_argument("--min-tokens", type=float, metavar="D")
    command.add_argument("--max-tokens", type=float, metavar="D", help="tokens that there are: a data wall")
    command.add_argument("--integer-k", action="store_true", help="k whole, both budgets kept")
    command.add_argument(
        "--chinchilla",
        type=_rule,
        metavar="RATIO|law",
        help="Chinchilla's choice: tokens per parameter, or the law's own training optimum",
    )
    command.add_argument(
        "--level", type=float, default=0.9, help="confidence of the intervals (default: 0.9)"
    )
    shown = command.add_mutually_exclusive_group()
    shown.add_argument("--frontier", action="store_true", help="plans from this training budget up to 1e25")
    shown.add_argument(
        "--profile", action="store_true", help="what other sizes would give for the same budgets"
    )
    command.add_argument(
        "--plot", metavar="FILE.png", help="draw the profile or frontier (needs t2fast[plot])"
    )


def _plan(arguments: argparse.Namespace) -> None:
    law = default_law() if arguments.law is None else Law.load(arguments.law)
    if arguments.sizes is not None and (arguments.min_params or arguments.max_params):
        raise ValueError("--sizes already says which N are allowed: drop --min-params and --max-params")
    options: dict[str, Any] = {
        "n_params": arguments.sizes or (arguments.min_params, arguments.max_params),
        "n_tokens": (arguments.min_tokens, arguments.max_tokens),
        "integer_k": arguments.integer_k,
        "chinchilla": arguments.chinchilla,
        "level": arguments.level,
    }
    if arguments.frontier:
        decades = max(1, math.ceil(math.log10(LARGEST_BUDGET / arguments.train_flops)))
        budgets = np.geomspace(
            arguments.train_flops, max(LARGEST_BUDGET, arguments.train_flops), 2 * decades + 1
        )
        frame = frontier(law, budgets, arguments.inference_flops, **options)
        if arguments.plot:
            from t2fast.plotting import plot_frontier

            _save(plot_frontier(frame), arguments.plot)
        rows = {"source": law.source, "domain": law.domain, "frontier": frame.to_dicts()}
        _print(arguments, rows, lambda: report.frontier_report(frame, law))
        return
    chosen = plan(law, arguments.train_flops, arguments.inference_flops, **options)
    if arguments.plot:
        from t2fast.plotting import plot_profile

        _save(plot_profile(chosen), arguments.plot)
    data: dict[str, Any] = {
        **chosen.to_dict(),
        "law": {"law": law.name, "source": law.source, "domain": law.domain},
    }
    if arguments.profile:
        profile = chosen.profile(25)
        columns = ("n_params", "n_tokens", "k", "predicted")
        data["profile"] = [
            dict(zip(columns, map(_finite, row), strict=True))
            for row in zip(*(getattr(profile, column) for column in columns), strict=True)
        ]
    _print(arguments, data, lambda: report.plan_report(chosen, data.get("profile")))


def _add_simulate(commands: Any) -> None:
    command = _command(
        commands,
        "simulate",
        _simulate,
        "draw a counts table from a law, as if it were true",
        "  t2fast simulate -o counts.csv\n"
        "  t2fast simulate --law law.json --n-params 1e8,1e9 --n-tokens 1e10,1e11 --samples 1024 --seed 7",
    )
    command.add_argument(
        "--law", metavar="LAW.json", help="a law kept by `t2fast fit -o` (default: the embedded)"
    )
    command.add_argument(
        "--n-params", type=_numbers, metavar="N,N,...", help="default: within the law's data"
    )
    command.add_argument(
        "--n-tokens", type=_numbers, metavar="D,D,...", help="default: within the law's data"
    )
    command.add_argument("--problems", type=int, default=128, help="default: 128")
    command.add_argument("--samples", type=int, default=256, help="per problem (default: 256)")
    command.add_argument("--seed", type=int, default=0, help="default: 0")
    command.add_argument(
        "-o", "--output", metavar="FILE", help=".csv, .parquet or .jsonl (default: CSV on stdout)"
    )


def _simulate(arguments: argparse.Namespace) -> None:
    law = default_law() if arguments.law is None else Law.load(arguments.law)
    n_params = arguments.n_params or _grid(law, "n_params", 5)
    n_tokens = arguments.n_tokens or _grid(law, "n_tokens", 5)
    counts = simulate_counts(
        law,
        n_params,
        n_tokens,
        problems=arguments.problems,
        samples=arguments.samples,
        seed=arguments.seed,
    )
    if arguments.output is not None:
        counts.write(arguments.output)
        Console(stderr=True).print(f"{len(counts)} rows in {arguments.output}", markup=False, soft_wrap=True)
    elif arguments.json:
        sys.stdout.write(counts.frame.write_ndjson())
    else:
        sys.stdout.write(counts.frame.write_csv())


def _add_table(command: Any) -> None:
    command.add_argument(
        "file",
        metavar="FILE",
        help=".csv, .tsv, .parquet or .jsonl, or results of another tool",
    )
    command.add_argument(
        "--columns", type=_mapping, metavar="NAME=COLUMN,...", help="names that columns go by"
    )
    command.add_argument("--models", metavar="FILE", help="model, n_params and n_tokens, to join")
    command.add_argument("--task", help="this task alone")
    command.add_argument("--stage", help="this stage of training alone")
    for name, says in (("params", "N"), ("tokens", "D"), ("train-flops", "6ND")):
        for end in ("min", "max"):
            command.add_argument(
                f"--{end}-{name}",
                type=float,
                metavar=says,
                help=argparse.SUPPRESS
                if end == "max"
                else f"only checkpoints with {says} at least this; also --max-{name}",
            )


def _reading(arguments: argparse.Namespace) -> dict[str, Any]:
    return {name: getattr(arguments, name) for name in ("columns", "models", "task", "stage")}


def _filtered(table: Any, arguments: argparse.Namespace) -> Any:
    bounds = ("min_params", "max_params", "min_tokens", "max_tokens", "min_train_flops", "max_train_flops")
    return table.filter(**{name: getattr(arguments, name) for name in bounds})


def _left_out(table: Counts | Likelihoods | Losses) -> dict[str, Any]:
    return {"left_out": [{"rows": part.rows, "reason": part.reason} for part in table.left_out]}


def _grid(law: Law, name: str, points: int) -> list[float]:
    if name not in law.domain:
        raise ValueError(
            f"the law does not say what {name} it was fitted on: give --{name.replace('_', '-')}"
        )
    return [float(f"{v:.3g}") for v in np.geomspace(*law.domain[name], points)]


def _print(arguments: argparse.Namespace, data: Any, shown: Callable[[], RenderableType]) -> None:
    if arguments.json:
        json.dump(data, sys.stdout, indent=1, allow_nan=False)
        sys.stdout.write("\n")
    elif sys.stdout.isatty():
        Console(highlight=False).print(shown())
    else:
        sys.stdout.write(report.text(shown()) + "\n")


def _save(axes: Any, path: str) -> None:
    axes.figure.savefig(path, dpi=160, bbox_inches="tight")


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _numbers(text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of numbers such as 1e8,1e9") from None


def _integers(text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of whole numbers such as 1,8,64") from None


def _mapping(text: str) -> dict[str, str]:
    pairs = [part.split("=", 1) for part in text.split(",")]
    if any(len(pair) != 2 or not all(pair) for pair in pairs):
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form problem=task_id,correct=passed")
    return {pair[0]: pair[1] for pair in pairs}


def _rule(text: str) -> float | str:
    try:
        return "law" if text == "law" else float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is neither 'law' nor a number such as 20") from None
