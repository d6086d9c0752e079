"""What each knob saves of a plan's memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from configs.base import RunConfig
from models.table_stack import TableStack

if TYPE_CHECKING:
    from trainers.planning.plan import Plan

_SMALLEST = 2**30 // 100  # what saves less is no help, and reads as 0.00 GiB


@dataclass(frozen=True)
class Saving:
    """A setting and the bytes that it would save on all ranks together."""

    knob: str
    bytes: int


def size_text(size: int) -> str:
    """Returns bytes as text, in GiB."""
    return f"{size / 2**30:,.2f} GiB"


def savings(plan: Plan, config: RunConfig, stacks: Sequence[TableStack]) -> tuple[Saving, ...]:
    """Returns what each knob would save, most first; each alone, as they do not add up."""
    found = [*_of_tables(config, stacks), *_of_step(plan, config)]
    total = [Saving(saving.knob, saving.bytes * plan.ranks) for saving in found]
    if plan.ranks > 1:
        whole, shared = (
            sum(t.values + t.slots for t in plan.tables if (t.shards > 1) == is_sharded)
            for is_sharded in (False, True)
        )
        # The rows of sharded tables would go to the ranks that are left.
        total.append(Saving(f"--ranks={plan.ranks - 1}", plan.rank_bytes - shared))
        total.append(Saving("trainer.placement=sharded", whole * (plan.ranks - 1)))
    useful = [saving for saving in total if saving.bytes >= _SMALLEST]
    return tuple(sorted(useful, key=lambda saving: -saving.bytes))


def _of_tables(config: RunConfig, stacks: Sequence[TableStack]) -> Iterator[Saving]:
    if config.trainer.table_dtype == "float32":
        narrow = sum(_values(s) // 2 for s in stacks if not s.optimizer.needs_float32)
        yield Saving("trainer.table_dtype=bfloat16", narrow)
    name = getattr(config.model, "table_optimizer", None)
    if name in ("adagrad", "adam"):
        mine = [s for s in stacks if s.tables[0].optimizer == name]
        saved = sum(_rows(s) * (s.slot_row_bytes - 4) for s in mine)  # a float32 a row stays
        yield Saving("model.table_optimizer=rowwise_adagrad", saved)
    dim = getattr(config.model, "dim", 0)
    if dim > 1:
        halved = sum(_halved(stack) for stack in stacks if stack.dim == dim)
        yield Saving(f"model.dim={dim // 2}", halved)


def _of_step(plan: Plan, config: RunConfig) -> Iterator[Saving]:
    parts = config.trainer.accumulate * 2
    if config.trainer.batch_size % parts == 0:
        # At most: sums of gradients, as large as the weights, are held meanwhile.
        saved = max(plan.step // 2 - plan.dense, 0)
        yield Saving(f"trainer.accumulate={parts}", saved)


def _halved(stack: TableStack) -> int:
    """Returns what half the width saves of values and slots; a slot of one value a row stays."""
    width = stack.dim // 2
    slots = sum(w for _, w in stack.optimizer.slot_shapes(1, width).values()) * 4
    row = width * stack.dtype.size + slots
    return _rows(stack) * (stack.row_bytes + stack.slot_row_bytes - row)


def _values(stack: TableStack) -> int:
    return _rows(stack) * stack.row_bytes


def _rows(stack: TableStack) -> int:
    return int(stack.variable.shape[0])  # of a rank
