"""What was prepared, for people."""

from __future__ import annotations

from pathlib import Path

from data.blocks import Ragged
from data.dataset import PreparedDataset
from data.schema import OOV_ID, Schema


def summary(schema: Schema, folder: Path, seconds: float) -> str:
    """Returns what was prepared, for people, and the next command."""
    data = PreparedDataset(folder)
    lines = [f"{schema.name} in {folder}, {seconds:.1f} s"]
    counts = {name: schema.cardinality(name) - 2 for name in ("user", "item")}
    lines.append(f"  in training: {counts['user']:,} users, {counts['item']:,} items")
    total = 0
    for split, entry in schema.view("rows").splits.items():
        total += entry.rows
        histories = data.read("histories", split)
        items = histories["item"]
        assert isinstance(items, Ragged)
        unknown = int((items.values == OOV_ID).sum())
        users = schema.view("histories").splits[split].rows
        never = f", {unknown:,} with items never seen in training" if split != "train" else ""
        lines.append(f"  {split}: {entry.rows:,} interactions of {users:,} users{never}")
    lines.append(f"  together: {total:,} interactions")
    for name, count in schema.facts.get("preparation", {}).items():
        if count:
            lines.append(f"  {name.replace('_', ' ')}: {count:,}")
    lines += [f"  note: {note}" for note in schema.facts.get("notes", [])]
    lines.append(f"Next: python -m trainers.run --model=ncf --data_dir={folder} --model_dir=RUN")
    return "\n".join(lines)
