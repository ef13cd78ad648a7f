"""Which checkpoints to train next, on published losses: `python benches/design.py --data FOLDER`.

The 20 dearest runs of a table are the target and cannot be chosen; of the others a tenth of the cost may be
spent. Designs begin with the 8 cheapest runs and go on in rounds, each of which doubles what is spent and
fits anew; beside them the cheapest runs first, runs at random, all of them, and those of active selection
(`_active_selection`). Judged by the median relative error on the 20 of the forecast law, fitted to what was
chosen; active selection and all runs also by Farseer's law, which the former fits. The tables: Farseer's
losses (arXiv 2506.10972), and those read off Chinchilla's figure 4 (arXiv 2203.15556).
"""

from __future__ import annotations

import argparse
import warnings
from dataclasses import dataclass
from pathlib import Path

import _active_selection as active
import numpy as np
import polars as pl
from t2fast import design, fit_forecast, read_losses

TABLES = ("farseer", "chinchilla_figure4")
TARGETS = 20
FIRST = 8
ROUNDS = [2.0**-i for i in range(8, -1, -1)]
SHARE = 0.1


@dataclass(frozen=True)
class Grid:
    """Runs by rising cost, and the budget."""

    frame: pl.DataFrame
    budget: float

    @classmethod
    def read(cls, path: Path) -> Grid:
        frame = pl.read_csv(path).select("n_params", "n_tokens", "loss")
        frame = frame.with_columns(cost=6 * pl.col("n_params") * pl.col("n_tokens")).sort("cost")
        return cls(frame, SHARE * frame["cost"].head(frame.height - TARGETS).sum())

    @property
    def target(self) -> pl.DataFrame:
        return self.frame.tail(TARGETS)

    def everything(self) -> list[int]:
        return list(range(self.frame.height - TARGETS))

    def cheapest(self) -> list[int]:
        return self._affordable(self.everything())

    def at_random(self, seed: int) -> list[int]:
        return self._affordable(np.random.default_rng(seed).permutation(self.everything()).tolist())

    def _affordable(self, order: list[int]) -> list[int]:
        taken, left = [], self.budget
        for i in order:
            if self.frame["cost"][i] <= left:
                taken.append(i)
                left -= self.frame["cost"][i]
        return taken

    def designed(self, seed: int) -> list[int]:
        taken = list(range(FIRST))
        at = list(self.target.select("n_params", "n_tokens").iter_rows())
        places = self.frame.select("n_params", "n_tokens").rows()
        for share in ROUNDS:
            rest = [i for i in self.everything() if i not in set(taken)]
            left = share * self.budget - self.frame["cost"][taken].sum()
            if left < self.frame["cost"][rest].min():
                continue
            law = self._fit(taken, draws=400, seed=seed)
            runs = self.frame[rest].drop("loss")
            found = design(law, runs, at=at, budget=left, count=12).runs
            # Some runs were made twice: a run of the design is one of them.
            for key in found.select("n_params", "n_tokens").iter_rows():
                taken.append(next(i for i in rest if i not in taken and places[i] == key))
        return taken

    def selected(self, seed: int) -> tuple[list[int], float]:
        """By active selection: what it takes, and the error of the law that it fits."""
        taken, found = active.select(
            self.runs(self.everything()), self.runs(self._targets()), self.budget, seed
        )
        return taken, self._off(found)

    def by_farseer(self) -> float:
        """The error of Farseer's law, fitted to everything."""
        target = self.runs(self._targets())
        begin = active.starts(np.random.default_rng(0), active.STARTS)
        best = active.basins(self.runs(self.everything()), target, begin).thetas[0]
        return self._off(active.law(best, target.n, target.log_d)[0])

    def error(self, taken: list[int]) -> float:
        law = self._fit(taken, draws=0)
        target = self.target
        return self._off(law.predict(target["n_params"].to_numpy(), target["n_tokens"].to_numpy()))

    def runs(self, which: list[int]) -> active.Runs:
        rows = self.frame[which]
        n, d, loss, cost = (rows[name].to_numpy() for name in ("n_params", "n_tokens", "loss", "cost"))
        return active.Runs(n / 1e9, np.log(d), loss, cost)

    def _targets(self) -> list[int]:
        return list(range(self.frame.height - TARGETS, self.frame.height))

    def _off(self, found: np.ndarray) -> float:
        return float(np.median(np.abs(found / self.target["loss"].to_numpy() - 1)))

    def _fit(self, taken: list[int], **how: int):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return fit_forecast(read_losses(self.frame[sorted(taken)]), progress=False, **how)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with the tables")
    parser.add_argument("--seeds", type=int, default=10)
    arguments = parser.parse_args()
    print("| table | runs chosen | runs | share of the cost | median error | 10% to 90% of seeds |")
    print("| --- | --- | --- | --- | --- | --- |")
    for table in TABLES:
        grid = Grid.read(arguments.data / f"{table}_losses.csv")
        everything = grid.everything()
        row(table, "all", grid, [everything], [grid.error(everything)])
        row(table, "all, Farseer's law", grid, [everything], [grid.by_farseer()])
        for name, choose, seeds in (
            ("cheapest first", lambda _, grid=grid: grid.cheapest(), 1),
            ("at random", grid.at_random, 10 * arguments.seeds),
            ("by design", grid.designed, arguments.seeds),
        ):
            chosen = [choose(seed) for seed in range(seeds)]
            row(table, name, grid, chosen, [grid.error(taken) for taken in chosen])
        selected = [grid.selected(seed) for seed in range(arguments.seeds)]
        chosen = [taken for taken, _ in selected]
        row(table, "by active selection", grid, chosen, [grid.error(taken) for taken in chosen])
        row(table, "by active selection, Farseer's law", grid, chosen, [off for _, off in selected])


def row(table: str, name: str, grid: Grid, chosen: list[list[int]], errors: list[float]) -> None:
    low, middle, high = np.quantile(errors, [0.1, 0.5, 0.9])
    share = grid.frame["cost"][chosen[0]].sum() / (grid.budget / SHARE)
    spread = f"{low:.2%} to {high:.2%}" if len(errors) > 1 else "-"
    print(f"| {table} | {name} | {len(chosen[0])} | {share:.1%} | {middle:.2%} | {spread} |", flush=True)


if __name__ == "__main__":
    main()
