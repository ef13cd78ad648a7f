"""`t2fast fit`: a law from a table."""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import Any

from rich.console import Console

from t2fast.cli import results
from t2fast.cli.groups import add_groups, check_paths, each, paths, show_each
from t2fast.cli.options import add_table, check_draws, command, integers, left_out, seed
from t2fast.cli.plotting import add_plot, save
from t2fast.cli.tables import add_chance, kind_of, read_table
from t2fast.fits import fit_accuracy, fit_chinchilla, fit_counts, fit_direct, fit_forecast, fit_loss
from t2fast.laws import ForecastLaw, Law
from t2fast.laws.law import NAMES
from t2fast.tables import Counts, read_losses

LEVEL = 0.9
"""Of the intervals that a law shows and a plan has by default."""


def add_parser(commands: Any) -> None:
    """Add the command `fit`."""
    parser = command(
        commands,
        "fit",
        run,
        "fit a law to a table of counts, likelihoods, losses or accuracies",
        "  t2fast fit counts.csv -o law.json\n"
        "  t2fast fit counts.csv --law accuracy -o law.json\n"
        "  t2fast fit losses.csv --law chinchilla --method huber\n"
        "  t2fast fit accuracies.csv --task arc_easy --chance 0.25\n"
        "  t2fast fit counts.csv --group-by task -o 'law-{}.json'\n"
        "  t2fast fit inspect-logs/ --law counts --scorer match --models models.csv\n"
        "  t2fast fit likelihoods.parquet --likelihoods --law loss --aggregate mean_log -o law.json",
    )
    add_table(parser)
    results.add_options(parser)
    add_groups(parser, "fit a law")
    parser.add_argument(
        "--law",
        choices=(ForecastLaw.name, *NAMES),
        default=ForecastLaw.name,
        help="which law: ours for forecasts (the default), or one of the paper's",
    )
    parser.add_argument("-o", "--output", metavar="LAW.json", help="keep the law in this file")
    parser.add_argument("--likelihoods", action="store_true", help="the table holds p or log_likelihood")
    parser.add_argument(
        "--losses", metavar="FILE", help="accuracy law: losses of the checkpoints, for stage 1"
    )
    add_chance(parser)
    parser.add_argument("--ks", type=integers, metavar="K,K,...", help="k to fit (default: 1,2,4,...,128)")
    parser.add_argument(
        "--aggregate",
        choices=("log_mean", "mean_log"),
        default="log_mean",
        help="loss law: log of the mean pass@k, or mean of its log (default: log_mean)",
    )
    parser.add_argument(
        "--method",
        choices=("least_squares", "huber", "projection", "restarts"),
        help="chinchilla: least_squares or huber; loss law: projection or restarts",
    )
    parser.add_argument(
        "--regularise",
        action="store_true",
        help="add the forecast law's priors: for chinchilla with --method least_squares alone, for the loss "
        "law with projection, for the accuracy law without --losses",
    )
    parser.add_argument(
        "--draws", type=int, default=200, help="draws for the intervals, 0 for none (default: 200)"
    )
    parser.add_argument("--seed", type=seed, default=0, help="of the draws (default: 0)")
    add_plot(parser, "the law against what was measured")


def run(arguments: argparse.Namespace) -> None:
    """Run the command."""
    options: dict[str, Any] = {"draws": arguments.draws, "seed": arguments.seed}
    check_draws(arguments.draws, LEVEL)
    if arguments.method is not None:
        methods = {"chinchilla": ("least_squares", "huber"), "loss": ("projection", "restarts")}
        if arguments.method not in methods.get(arguments.law, ()):
            raise ValueError(f"the {arguments.law} law has no method {arguments.method!r}")
        options["method"] = arguments.method
    if arguments.regularise:
        if arguments.law in ("direct", "forecast"):
            raise ValueError(f"the {arguments.law} law has no regularised variant")
        options["regularise"] = True
    check_paths(arguments)
    table = _read(arguments)
    outputs = paths(arguments.output, table, arguments.group_by)
    plots = paths(arguments.plot, table, arguments.group_by)

    def fitted(value: str, part: Any) -> Law | ForecastLaw:
        of = f", {arguments.group_by} {value}" if value else ""
        return replace(_fitted(value, part, arguments, options), source=f"fitted to {table.source}{of}")

    laws = each(table, arguments, fitted)
    # Shown first, so that a disk that is full by now does not take the fit along.
    show_each(arguments, laws, _without_draws, left_out(table))
    for value, law in laws.items():
        if plots:
            save(law.figure(), plots[value], law.cautions)
        if outputs:
            law.save(outputs[value])
            Console(stderr=True).print(f"law kept in {outputs[value]}", markup=False, soft_wrap=True)


def _without_draws(law: Law | ForecastLaw) -> dict[str, Any]:
    return {key: value for key, value in law.to_dict().items() if key != "draws"}


def _read(arguments: argparse.Namespace) -> Any:
    """The table, of the kind that the law, the options and its columns ask for."""
    kind = "likelihoods" if arguments.likelihoods else "counts"
    if arguments.law != ForecastLaw.name:
        told = kind_of(arguments.file, arguments.columns)
        wanted = "losses" if arguments.law == "chinchilla" else kind
        # No column of another kind is there, or that would have been told.
        if told == "accuracies" or (told == "losses" and wanted != told):
            also = " and the chinchilla law" if told == "losses" else ""
            raise ValueError(
                f"{arguments.file} holds {told}, and the {arguments.law} law is fitted to {wanted}: for "
                f"{told} there is the forecast law{also} (--law)"
            )
    if arguments.law == "chinchilla":
        kind = "losses"
    elif arguments.law == ForecastLaw.name and not arguments.likelihoods:
        kind = kind_of(arguments.file, arguments.columns)
    return read_table(arguments, kind)


def _fitted(
    value: str, table: Any, arguments: argparse.Namespace, options: dict[str, Any]
) -> Law | ForecastLaw:
    if arguments.law == ForecastLaw.name:
        return fit_forecast(table, ks=arguments.ks, **options)
    if arguments.law == "chinchilla":
        return fit_chinchilla(table, **options)
    if arguments.law == "loss":
        return fit_loss(table, ks=arguments.ks, aggregate=arguments.aggregate, **options)
    if arguments.law == "accuracy":
        losses = None if arguments.losses is None else read_losses(arguments.losses)
        if losses is not None and arguments.group_by in losses.frame.columns:
            losses = losses.groups(arguments.group_by).get(value, losses)
        return fit_accuracy(table, losses, ks=arguments.ks, **options)
    if arguments.law == "direct":
        return fit_direct(table, ks=arguments.ks, **options)
    if not isinstance(table, Counts):
        raise ValueError("the counts law needs counts: n_samples and n_correct, not likelihoods")
    return fit_counts(table, ks=arguments.ks, **options)
