"""How many chips share a model, so that a plan answers within a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from t2fast.costs.memory import Room
from t2fast.plans.request import positive
from t2fast.plans.spending import Spending
from t2fast.plans.workload import Workload
from t2fast.text import counted


@dataclass(frozen=True)
class Sharing:
    """The fewest chips, doubled from the machine's own, on which a plan holds a latency; the most if none do.

    Sharing evenly costs nothing in the roofline: so many chips are so much faster and so much dearer.

    Attributes:
        workload: on as many chips.
        seconds: what a query may take.
        took: what it takes there, of the plan without that limit.
    """

    workload: Workload
    seconds: float
    took: float

    @classmethod
    def asked(
        cls,
        workload: Workload,
        plan: Callable[[Workload], Spending],
        latency: float | None,
        most: int | None,
    ) -> tuple[Sharing | None, Workload]:
        """If chips may be chosen, how many, and the workload on them."""
        if most is None:
            return None, workload
        sharing = cls.of(workload, plan, latency, most)
        return sharing, sharing.workload

    @classmethod
    def of(
        cls, workload: Workload, plan: Callable[[Workload], Spending], latency: float | None, most: int
    ) -> Sharing:
        """Chips for what `plan` chooses, which knows nothing of the limit.

        Raises:
            ValueError: without a latency; for a most that is not whole, or less than the machine has.
        """
        if latency is None:
            raise ValueError("max_chips is of a latency: give latency, or leave it out")
        seconds, machine = positive("latency", latency), workload.machine
        if machine is None:
            raise ValueError("latency needs a machine, which says how long a step takes")
        if most != int(most) or most < machine.chips:
            raise ValueError(f"max_chips is {most!r}: give a whole number of at least {machine.chips}")
        free, chips = plan(workload), machine.chips
        while True:
            on = replace(workload, machine=replace(machine, chips=chips))
            room = on.room(free.model)
            assert isinstance(room, Room)
            took = room.seconds(free.k)
            if (room.chips == chips and took <= seconds) or 2 * chips > most:
                return cls(on, seconds, took)
            chips *= 2

    @property
    def holds(self) -> bool:
        """Whether the plan without the limit keeps it there."""
        return self.took <= self.seconds

    def __str__(self) -> str:
        """What was found."""
        assert self.workload.machine is not None
        chips = self.workload.machine.chips
        limit = f"latency at most {self.seconds:g} s"
        on = counted(chips, "chip")
        if self.holds:
            return f"{limit} holds on {on}, the fewest by doubling on which it costs nothing"
        return (
            f"{limit}: the plan without it takes {self.took:.3g} s on {on}, the most that may share a model "
            f"(max_chips), {self.took / self.seconds:.3g} times that; it is held there"
        )
