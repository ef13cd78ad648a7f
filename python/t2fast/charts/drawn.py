"""What results that can be looked at have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

from t2fast.charts.figure import Figure

if TYPE_CHECKING:
    import t2fast


class Reported:
    """What a page can be made of."""

    def report(self, *, title: str | None = None, level: float = 0.9) -> t2fast.Report:
        """A page about this: `t2fast.report` of it alone. `report().save(path)` writes it.

        Args:
            title: of the page; by default what it was made of.
            level: confidence of the intervals of what is drawn from a law.

        Returns:
            The report.
        """
        import t2fast  # the face, since reports know all rooms and no room knows them

        made: t2fast.Report = t2fast.report(self, title=title, level=level)  # type: ignore[arg-type]
        return made


class Drawn(ABC):
    """What has a figure."""

    @abstractmethod
    def figure(self) -> Figure:
        """The figure: a chart with its data and its words. Its `save` writes .svg, .png and .pdf."""

    def plot(self) -> Any:
        """The figure's chart, which is Altair's (needs `t2fast[report]`).

        Returns:
            An `altair.Chart`, or an `altair.HConcatChart` of several.
        """
        return self.figure().chart
