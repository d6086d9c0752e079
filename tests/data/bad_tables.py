"""A small table that tests spoil, and what must hold after it was refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import tensorflow as tf

from data.dataset import PreparedDataset
from data.engine.engines import LocalEngine
from data.engine.prepare_table import prepare_table
from data.engine.stages import TableOptions
from data.spec.parsing import parse_spec

FEATURES: dict[str, Any] = {
    "label": {"kind": "label"},
    "price": {"kind": "numeric"},
    "shop": {"kind": "categorical", "type": "int64"},
    "city": {"kind": "categorical"},
    "tags": {"kind": "multi_hot"},
    "time": {"kind": "time"},
}
LAST = {"method": "position", "validation": 0, "test": 0.25}
HEADER = "label,price,shop,city,tags,time,note"
ROWS = 12
BAD_LINE = 5  # of the file: row 4


def line(**fields: str) -> str:
    """Returns a line of the table, with some fields of its own."""
    given = {"label": "1", "price": "2.5", "shop": "7", "city": "Rome", "tags": "a|b"}
    return ",".join(({**given, "time": "2024-01-31", "note": "fine"} | fields).values())


def write_table(path: Path) -> Path:
    lines = [line(label=str(n % 2), price=str(n)) for n in range(ROWS)]
    path.write_text("\n".join([HEADER, *lines]) + "\n")
    return path


def frame() -> pl.DataFrame:
    """Returns the same table with types."""
    n = np.arange(ROWS)
    return pl.DataFrame(
        {
            "label": n % 2,
            "price": n.astype(np.float64),
            "shop": ["7"] * ROWS,
            "city": ["Rome"] * ROWS,
            "tags": [["a", "b"]] * ROWS,
            "time": ["2024-01-31"] * ROWS,
        }
    )


def prepare(
    source: Path,
    features: dict[str, Any] | None = None,
    split: dict[str, Any] | None = None,
    reads: dict[str, Any] | None = None,
    out: str = "out",
    **options: Any,
) -> PreparedDataset:
    body = {"features": features or FEATURES, "split": split or LAST, "source": reads or {}}
    folder = source.parent / out
    spec = parse_spec(body, "features.yaml")
    prepare_table(spec, str(source), TableOptions(**options), folder, LocalEngine(1))
    return PreparedDataset(folder)


def rows_of(data: PreparedDataset) -> int:
    return sum(split.rows for split in data.schema.view("rows").splits.values())


def check_nothing_is_left(folder: Path, source: str) -> None:
    """Checks that only hidden parts are left, which the next preparation uses or removes."""
    names = {path.name for path in folder.iterdir()} - {source}
    assert all(name.startswith(".out.work-") for name in names)


def check_recovers(source: Path) -> None:
    """Checks that the right table is prepared in the end, and that nothing else is left."""
    assert rows_of(prepare(write_table(source))) == ROWS
    assert {path.name for path in source.parent.iterdir()} == {source.name, "out"}


def write_records(path: Path, bad: dict[str, Any]) -> Path:
    with tf.io.TFRecordWriter(str(path)) as writer:
        for n in range(ROWS):
            row = {"label": [n % 2], "city": [b"Rome"], **(bad if n == 3 else {})}
            features = {
                name: tf.train.Feature(int64_list=tf.train.Int64List(value=values))
                if isinstance(values[0], int)
                else tf.train.Feature(bytes_list=tf.train.BytesList(value=values))
                for name, values in row.items()
            }
            example = tf.train.Example(features=tf.train.Features(feature=features))
            writer.write(example.SerializeToString())
    return path
