"""What a table measured, by checkpoint and k: the truth that forecasts are held against."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from t2fast.arguments import require_kind
from t2fast.fits.passtable import PassTable
from t2fast.fits.sampling import in_logarithms
from t2fast.tables import Accuracies, Counts, Likelihoods, Losses

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
Table = Counts | Likelihoods | Losses | Accuracies

JUDGED = (1, 8, 64, 128)
"""The k by whose errors a forecast is judged, as far as a table has them."""


@dataclass(frozen=True, eq=False)
class Measured:
    """One value a checkpoint and k, and the table behind them.

    Attributes:
        table: the rows of these checkpoints alone.
        quantity: what the values are: "pass@k", "accuracy" or "loss".
        models: the checkpoints' names, where the table has them.
        n_params, n_tokens: N and D, shape (checkpoints,).
        ks: the k of the columns; 1 for an accuracy or a loss.
        values: shape (checkpoints, K); NaN where nothing was measured.
        notes: what to know of the values.
        z, variance: of counts, the values' ln(-ln(1 - pass@k)), finite where all or none was solved, and its
            variance by sampling (`t2fast.fits.sampling`), of the shape of the values; None for other tables.
    """

    table: Table
    quantity: str
    models: tuple[str, ...] | None
    n_params: Floats
    n_tokens: Floats
    ks: Floats
    values: Floats
    notes: tuple[str, ...] = ()
    z: Floats | None = None
    variance: Floats | None = None

    @classmethod
    def of(cls, table: Table, ks: Sequence[float] | None = None) -> Measured:
        """The values of a table: pass@k at `ks`, by default at the powers of two that all problems have
        samples for, up to 128; or the mean loss or accuracy. `ValueError` for a table without N and D
        or of several tasks or training sets, and for `ks` where there is no k.
        """
        require_kind("validate", table, (Counts, Likelihoods, Losses, Accuracies))
        checkpoints = table.require_sizes().require_one_kind().checkpoints
        notes, z, variance = table.unexplained, None, None
        if isinstance(table, Counts | Likelihoods):
            passing = PassTable.of(table, ks)
            quantity, at, values, notes = "pass@k", passing.ks, passing.mean(), passing.notes
            if isinstance(table, Counts):
                passing.require_solved("forecast")
                z, variance = in_logarithms(table, passing)
        elif ks is not None:
            raise ValueError("ks are for counts and likelihoods: losses and accuracies have no k")
        else:
            quantity, at = "loss" if isinstance(table, Losses) else "accuracy", np.ones(1)
            values = checkpoints[quantity].to_numpy()[:, None]
        models = tuple(checkpoints["model"].to_list()) if "model" in checkpoints.columns else None
        n, d = (checkpoints[name].to_numpy() for name in ("n_params", "n_tokens"))
        return cls(table, quantity, models, n, d, at, values, notes, z, variance)

    def __len__(self) -> int:
        return len(self.n_params)

    def only(self, chosen: Mask) -> Measured:
        """These checkpoints alone."""
        rows = chosen[self.table.checkpoint_index]
        return replace(
            self,
            table=replace(self.table, frame=self.table.frame.filter(rows)),
            models=None
            if self.models is None
            else tuple(m for m, c in zip(self.models, chosen, strict=True) if c),
            n_params=self.n_params[chosen],
            n_tokens=self.n_tokens[chosen],
            values=self.values[chosen],
            z=None if self.z is None else self.z[chosen],
            variance=None if self.variance is None else self.variance[chosen],
        )

    def judged(self) -> list[int]:
        """Columns to judge by: those of k = 1, 8, 64 and 128, and the largest; of other k, all."""
        usual = [j for j, k in enumerate(self.ks) if k in JUDGED or k == self.ks.max()]
        powers = np.log2(self.ks)
        return usual if (powers == np.round(powers)).all() else list(range(len(self.ks)))
