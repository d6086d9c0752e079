"""What was prepared, for people."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import tensorflow as tf

from data.blocks import Ragged, column_groups
from data.dataset import PreparedDataset
from data.schema import OOV_ID, Schema

_LABEL = "label"
_BLOCKS_AT_ONCE = 32


def summary(schema: Schema, folder: Path, seconds: float) -> str:
    """Returns what was prepared, for people, and the next command."""
    data = PreparedDataset(folder)
    ranked = "histories" in schema.views
    labelled = any(column.name == _LABEL for column in schema.view("rows").columns)
    noun = "interactions" if ranked else "rows"
    lines = [f"{schema.name} in {folder}, {seconds:.1f} s"]
    lines.append(f"  in training: {_vocabularies(schema)}" if ranked else f"  {_inputs(schema)}")
    for split, entry in schema.view("rows").splits.items():
        users = _users(data, split) if ranked else ""
        clicks = _positives(data, split) if labelled else ""
        lines.append(f"  {split}: {entry.rows:,} {noun}{users}{clicks}")
    total = sum(entry.rows for entry in schema.view("rows").splits.values())
    lines.append(f"  together: {total:,} {noun}")
    lines += _left_out(schema)
    lines += [f"  note: {note}" for note in schema.facts.get("notes", [])]
    model = "wide_deep" if labelled else "ncf"
    if schema.facts.get("held_out_users"):
        model = "vae_cf"  # which needs no row of its own for a user
    lines.append(
        f"Next: python -m trainers.run --model={model} --data_dir={folder} --model_dir=RUN"
    )
    return "\n".join(lines)


def _left_out(schema: Schema) -> list[str]:
    """Returns a line for each reason for which rows are not there."""
    policy = schema.provenance.get("options", {}).get("duplicates")
    by_rule = {"duplicates": f" dropped by {policy}"}
    return [
        f"  {name.replace('_', ' ')}: {count:,}{by_rule.get(name, '')}"
        for name, count in schema.facts.get("preparation", {}).items()
        if count
    ]


def _vocabularies(schema: Schema) -> str:
    counts = {name: schema.cardinality(name) - 2 for name in ("user", "item")}
    return f"{counts['user']:,} users, {counts['item']:,} items"


def _inputs(schema: Schema) -> str:
    kinds = Counter(feature.kind.value for feature in schema.features)
    categories = sum(f.cardinality - 2 for f in schema.features if f.cardinality is not None)
    return (
        f"{kinds['numeric']} numeric features, {kinds['categorical']} categorical ones with "
        f"{categories:,} categories in training"
    )


def _users(data: PreparedDataset, split: str) -> str:
    """Returns whose interactions they are, and how many are with unknown items."""
    items = data.read("histories", split)["item"]
    assert isinstance(items, Ragged)
    unknown = int((items.values == OOV_ID).sum())
    never = f", {unknown:,} with items never seen in training" if split != "train" else ""
    return f" of {len(items):,} users{never}"


def _positives(data: PreparedDataset, split: str) -> str:
    """Returns the share of clicks; a split may be larger than memory."""
    view = data.schema.view("rows")
    dtype = data.schema.feature(view.column(_LABEL).feature).dtype
    stacked = [column.name for column in column_groups(view.columns, data.schema)[dtype]]
    only_these = {dtype: tf.io.FixedLenFeature([], tf.string)}
    clicks = 0.0
    with data.explained_reads():
        for records in tf.data.TFRecordDataset(data.paths("rows", split)).batch(_BLOCKS_AT_ONCE):
            blocks = tf.io.parse_example(records, only_these)[dtype].numpy()
            matrix = np.frombuffer(b"".join(blocks), dtype).reshape(-1, len(stacked))
            clicks += matrix[:, stacked.index(_LABEL)].sum(dtype=np.float64)
    return f", {clicks / data.split('rows', split).rows:.1%} with label 1"
