"""What results look like: each function makes a `Figure` of a table, a chart with its data and its words.

Altair and vl-convert are optional: `pip install 't2fast[report]'`.
"""

from t2fast.charts.answers import answers
from t2fast.charts.curves import pass_curves
from t2fast.charts.designs import designs
from t2fast.charts.differences import differences
from t2fast.charts.difficulties import difficulties
from t2fast.charts.drawn import Drawn, Reported
from t2fast.charts.errors import errors
from t2fast.charts.figure import Figure
from t2fast.charts.frontiers import frontier
from t2fast.charts.market import market
from t2fast.charts.profiles import profile, profiles
from t2fast.charts.residuals import fit, residuals
from t2fast.charts.testbeds import testbed
from t2fast.charts.values import values

__all__ = [
    "Drawn",
    "Figure",
    "Reported",
    "answers",
    "designs",
    "differences",
    "difficulties",
    "errors",
    "fit",
    "frontier",
    "market",
    "pass_curves",
    "profile",
    "profiles",
    "residuals",
    "testbed",
    "values",
]
