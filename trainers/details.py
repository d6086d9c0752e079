"""What the final evaluation found of each user and item, or of each row, in files of the run.

They hold all that `trainers.report` needs, so that it reads run folders alone; docs/report.md lists
their columns.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from configs.results import on_dataset
from data.atomic import atomic_folder
from data.dataset import PreparedDataset
from data.schema import FIRST_ID
from trainers.click_details import ClickDetails, calibration_table
from trainers.user_ranks import RankingDetails, metric_columns

_FOLDER = "evaluation"
USERS_FILE, ITEMS_FILE = "users.parquet", "items.parquet"
ROWS_FILE, CALIBRATION_FILE = "rows.parquet", "calibration.parquet"
MOST_ROWS = 5_000_000  # of a click task that are kept, of 8 bytes at most


def details_folder(model_dir: Path, schema_sha256: str | None = None) -> Path:
    """Returns the folder of the files.

    Args:
        model_dir: The run folder.
        schema_sha256: Hash of the dataset that it was evaluated on, if not its own.
    """
    return model_dir / f"{_FOLDER}{on_dataset(schema_sha256)}"


def write_details(
    folder: Path,
    details: RankingDetails | ClickDetails,
    data: PreparedDataset,
    fit_on: Sequence[str],
) -> None:
    """Writes the files atomically; columns that an earlier evaluation alone had are kept.

    Args:
        folder: As `details_folder` returns it.
        details: What was found.
        data: The prepared dataset.
        fit_on: Splits that were trained on, in which the events of items are counted.
    """
    with atomic_folder(folder, overwrite=True) as new:
        if isinstance(details, ClickDetails):
            pq.write_table(pa.table(calibration_table(details)), new / CALIBRATION_FILE)
            if len(details.labels) <= MOST_ROWS:
                rows = {"label": details.labels, "logit": details.logits}
                pq.write_table(pa.table(rows), new / ROWS_FILE)
            return
        _write(new / USERS_FILE, _users(details, data), folder / USERS_FILE)
        _write(new / ITEMS_FILE, iter([_items(details, data, fit_on)]), folder / ITEMS_FILE)


def _write(path: Path, tables: Iterator[pa.Table], earlier: Path) -> None:
    """Writes tables one below the other, with what the earlier file knows beside."""
    first = next(tables)
    kept, start = _kept(earlier, first.column_names), 0
    schema = pa.schema([*first.schema, *kept.schema])
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for table in chain([first], tables):
            for name in kept.column_names:
                table = table.append_column(name, kept[name].slice(start, table.num_rows))
            writer.write_table(table)
            start += table.num_rows


def _kept(earlier: Path, written: Sequence[str]) -> pa.Table:
    """Returns what an earlier evaluation of the run wrote and this one does not."""
    if not earlier.is_file():
        return pa.table({})
    names = [name for name in pq.read_schema(earlier).names if name not in written]
    return pq.read_table(earlier, columns=names)


def _users(details: RankingDetails, data: PreparedDataset) -> Iterator[pa.Table]:
    """Yields some users after the other: who they are, their ranks and their metrics."""
    names = {name: metric_columns(details.ks, name) for name in details.protocols}
    metrics = [of.metrics(details.targets, details.ks) for of in details.protocols.values()]
    raw_ids, start = data.raw_ids("user"), 0
    for values in zip(*metrics, strict=True):
        some = slice(start, start + len(values[0]))
        columns = {
            "user": _raw(raw_ids, details.users[some]),
            "history": pa.array(details.history[some]),
            "targets": pa.array(details.targets[some]),
        }
        for (name, ranks), matrix in zip(details.protocols.items(), values, strict=True):
            ends = ranks.ranks.offsets()[some.start : some.stop + 1]
            found = ranks.ranks.values[ends[0] : ends[-1]]
            lists = pa.LargeListArray.from_arrays(pa.array(ends - ends[0]), pa.array(found))
            columns[f"ranks/{name}"] = lists
            columns.update(zip(names[name], map(pa.array, matrix.T), strict=True))
        yield pa.table(columns)
        start = some.stop


def _items(details: RankingDetails, data: PreparedDataset, fit_on: Sequence[str]) -> pa.Table:
    """Returns how often each item was trained on, held out, found and recommended."""
    raw_ids = data.raw_ids("item")
    events = data.item_counts(fit_on)
    columns = {"item": pa.array(raw_ids), "events": pa.array(events[FIRST_ID:])}
    columns["targets"] = pa.array(data.item_counts([details.split])[FIRST_ID:])
    for name, ranks in details.protocols.items():
        for k in details.ks:
            hits = ranks.hits_by_item(k, len(events))
            columns[f"hits@{k}/{name}"] = pa.array(hits[FIRST_ID:])
    for name, counts in details.recommended.items():
        for k, at_k in zip(details.ks, counts, strict=True):
            columns[f"recommended@{k}/{name}"] = pa.array(at_k[FIRST_ID:])
    return pa.table(columns)


def _raw(raw_ids: np.ndarray, ids: np.ndarray) -> pa.Array:
    """Returns the raw ids of ids, null where out of vocabulary."""
    known = ids >= FIRST_ID
    return pa.array(raw_ids[np.where(known, ids - FIRST_ID, 0)], mask=~known)
