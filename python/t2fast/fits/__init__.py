"""Fits: the best parameters of each law, their bootstrap draws, and what is wrong with the fit.

Every function returns a :class:`t2fast.laws.Law`, `fit_forecast` a :class:`t2fast.laws.ForecastLaw`. What
must not be overlooked (no convergence, a parameter on its bound or not identified, a curve that misses the
data by more than noise) is in ``law.fit`` and raised as a :class:`FitWarning`.
"""

from t2fast.fits.accuracy import fit_accuracy
from t2fast.fits.chinchilla import fit_chinchilla
from t2fast.fits.conclusion import FitWarning
from t2fast.fits.counts import fit_counts
from t2fast.fits.data_wall import DataWallFit, fit_data_wall
from t2fast.fits.direct import fit_direct
from t2fast.fits.forecast import fit_forecast
from t2fast.fits.loss import fit_loss

__all__ = [
    "DataWallFit",
    "FitWarning",
    "fit_accuracy",
    "fit_chinchilla",
    "fit_counts",
    "fit_data_wall",
    "fit_direct",
    "fit_forecast",
    "fit_loss",
]
