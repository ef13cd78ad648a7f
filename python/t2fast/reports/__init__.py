"""Pages to look at and to forward: what was measured, what was concluded, and what not to believe."""

from t2fast.reports.assembly import Report, report

__all__ = ["Report", "report"]
