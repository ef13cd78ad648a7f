"""Where a plan is served: the chips that hold it, and how long its samples take there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from t2fast.costs.memory import Room
from t2fast.plans.spending import Spending
from t2fast.plans.workload import Limit, Workload
from t2fast.text import counted, samples


def room_of(chosen: Spending, workload: Workload) -> Room | None:
    """The plan's model in the memory of the machine; None for plans without one."""
    return workload.room(chosen.model)


def housed(room: Room, chosen: Spending, limits: Sequence[Limit]) -> Iterator[str]:
    """Lines on the chips that hold the plan's model, and on how long its samples take there."""
    short = ""
    if room.chips > room.asked:
        short = f"; {room.asked} {'does' if room.asked == 1 else 'do'} not hold it"
    yield f"served on {room}{short}"
    waits = "" if chosen.k <= room.largest_batch else f", {room.largest_batch:,.0f} at a time"
    even = ", if these share bytes and arithmetic evenly" if room.chips > 1 else ""
    seconds = room.seconds(chosen.k)
    drawn = "1 sample takes" if chosen.k == 1 else f"{samples(chosen.k)} samples together take"
    yield f"{drawn} {seconds:.3g} s there{waits}, keys and values read and the chips free{even}"
    for limit in limits:
        missed = seconds > limit.most * (1 + 1e-6)
        if limit.seconds and (short or missed):
            above = f"{seconds:.3g} s is more than it: " if missed else ""
            yield f"! {limit.name}: {above}it was held on {counted(room.asked, 'chip')}, all samples at once"
