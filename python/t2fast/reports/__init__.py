"""Pages to look at and to forward: what was measured, what was concluded, and what not to believe."""

from t2fast.reports.assembly import Report, report
from t2fast.reports.explorer import Explorer, explore

__all__ = ["Explorer", "Report", "explore", "report"]
