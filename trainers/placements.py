"""Where the tables of a run on several ranks live, as a table for people."""

from __future__ import annotations

from models.recommender import Recommender

_MOST_TABLES = 40


def placement_table(model: Recommender) -> str:
    """Returns a line for each table, the largest first: its rows, where they are, and why."""
    tables = model.tables
    configs = sorted(tables.configs.values(), key=lambda c: -c.rows * c.dim)
    lines = [f"{'table':<28} {'rows':>14} {'width':>6}  {'on each rank':<14} because"]
    for config in configs[:_MOST_TABLES]:
        shards, reason = tables.placements[config.name]
        where = "a copy" if shards == 1 else f"1/{shards} of its rows"
        lines.append(f"{config.name:<28} {config.rows:>14,} {config.dim:>6}  {where:<14} {reason}")
    if len(configs) > _MOST_TABLES:
        lines.append(f"and {len(configs) - _MOST_TABLES} smaller ones")
    return "\n".join(lines)
