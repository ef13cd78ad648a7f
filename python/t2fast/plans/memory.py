"""What to know of the memory of the machine that a plan is served on."""

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


def housed(room: Room, k: float) -> str:
    """Where a plan is served, and how long its k samples take."""
    waits = "" if k <= room.largest_batch else f", {room.largest_batch:,.0f} at a time"
    return (
        f"served on {room}; {samples(k)} samples together take {room.seconds(k):.3g} s{waits}, caches read and "
        "the chips free" + (", if these share bytes and arithmetic evenly" if room.chips > 1 else "")
    )


def memory_cautions(
    chosen: Spending, workload: Workload, room: Room, limits: Sequence[Limit]
) -> Iterator[str]:
    """That the chips asked for do not hold the model, and what reading caches adds to its queries."""
    if room.chips > room.asked:
        short = "weights" if room.weights > room.machine.chip.memory * room.asked else "weights and caches"
        held = [limit.name for limit in limits if limit.seconds]
        yield (
            f"{counted(room.asked, 'chip')} of {room.machine.chip.name} "
            f"{'does' if room.asked == 1 else 'do'} not hold its {short}: {room.chips} are needed, the price of "
            "a query being the same" + (f"; {held[0]} was held on {room.asked}" if held else "")
        )
    dearer = room.usd_per_query(chosen.k) * workload.queries / chosen.serving
    if dearer > _DEARER:
        yield (
            f"reading keys and values, {room.model.cache_bytes / 1e6:.3g} MB a token, makes queries "
            f"{dearer:.3g}x as dear ({workload.money(dearer * chosen.serving)}), which the plan leaves out: a "
            "smaller batch, or heads that share keys and values, read less"
        )
