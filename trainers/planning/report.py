"""What `--plan` prints."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trainers.planning.plan import Plan

_MOST_TABLES = 40  # listed one by one; of the smaller ones the sum is told


def plan_table(plan: Plan) -> str:
    """Returns the table: MiB of each part of a rank, then the sums."""
    tables = sorted(plan.tables, key=lambda table: -(table.values + table.slots))
    lines = [f"{'MiB of each rank':<44} {'values':>12} {'slots':>12} {'together':>12}"]
    for table in tables[:_MOST_TABLES]:
        share = f", 1/{table.shards}" if table.shards > 1 else ""
        name = f"table {table.name}, {table.rows:,} x {table.dim} {table.dtype}{share}"
        lines.append(_line(name, table.values, table.slots))
    others = tables[_MOST_TABLES:]
    if others:
        values, slots = (sum(getattr(t, part) for t in others) for part in ("values", "slots"))
        lines.append(_line(f"{len(others)} smaller tables", values, slots))
    lines += [
        _line("dense weights", plan.dense, plan.dense_slots),
        _line("activations and temporaries of a step", plan.step),
        _line("input: blocks, windows, batches", plan.input),
        _line("drawing initial values", plan.drawing),
        _line("the process itself", plan.process),
        _line("a rank", plan.rank_bytes),
        _line(f"{plan.ranks} rank{'s' * (plan.ranks > 1)} on this machine", plan.total_bytes),
    ]
    return "\n".join(lines)


def _line(name: str, values: int, slots: int | None = None) -> str:
    both = ["", ""] if slots is None else [f"{part / 2**20:,.1f}" for part in (values, slots)]
    together = f"{(values + (slots or 0)) / 2**20:,.1f}"
    return f"{name:<44} {both[0]:>12} {both[1]:>12} {together:>12}"
