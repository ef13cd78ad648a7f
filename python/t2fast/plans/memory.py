"""Where a plan is served: the chips that hold it, and what its keys and values cost there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from t2fast.costs.memory import Room
from t2fast.plans.spending import Spending
from t2fast.plans.workload import Limit, Workload
from t2fast.text import counted, samples

_DEARER = 1.05
"""Reading caches is worth a word from so much dearer queries on."""


def room_of(chosen: Spending, workload: Workload) -> Room | None:
    """The plan's model in the memory of the machine; None for plans without one."""
    return workload.room(chosen.n_params if chosen.architecture is None else chosen.architecture)


def housed(room: Room, chosen: Spending, workload: Workload, limits: Sequence[Limit]) -> Iterator[str]:
    """Lines on the chips that hold the plan's model, on how long its samples take there, and on what reading
    keys and values adds to their price.
    """
    short = ""
    if room.chips > room.asked:
        short = f"; {room.asked} {'does' if room.asked == 1 else 'do'} not hold it"
    yield f"served on {room}{short}"
    waits = "" if chosen.k <= room.largest_batch else f", {room.largest_batch:,.0f} at a time"
    even = ", if these share bytes and arithmetic evenly" if room.chips > 1 else ""
    seconds = room.seconds(chosen.k)
    yield (
        f"{samples(chosen.k)} samples together take {seconds:.3g} s there{waits}, keys and values read and "
        f"the chips free{even}"
    )
    for limit in limits:
        if limit.seconds and (short or seconds > limit.most):
            above = f"{seconds:.3g} s is more than it: " if seconds > limit.most else ""
            yield (
                f"! {limit.name}: {above}it was held on {counted(room.asked, 'chip')}, reading keys and "
                "values left out, all samples at once"
            )
    dearer = room.usd_per_query(chosen.k) * workload.queries / chosen.serving
    if dearer > _DEARER:
        yield (
            f"! the cost of queries leaves out reading keys and values: with them it is {dearer:.3g} times "
            f"that, {workload.money(dearer * chosen.serving)}; heads that share them read less"
        )
