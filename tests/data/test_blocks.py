"""Block records: what goes in comes out, whatever the block size."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.atomic import write_json
from data.blocks import Ragged, write_split
from data.dataset import PreparedDataset
from data.errors import InputError
from data.schema import SCHEMA_FILE, Column, Feature, Kind, Schema, View
from tests.small_disk import largest_file

FEATURES = (
    Feature("a", Kind.NUMERIC, "float32"),
    Feature("b", Kind.CATEGORICAL, "int32", 50),
    Feature("c", Kind.TIME, "int64"),
)
COLUMNS = (
    Column("a", "a"),
    Column("b", "b"),
    Column("a2", "a"),
    Column("c", "c"),
    Column("many", "b", ragged=True, max_length=9),
)


def write(folder: Path, rows: int, block_rows: int, max_shards: int) -> dict[str, object]:
    """Writes a dataset of one view and returns what was put in."""
    rng = np.random.default_rng(rows)
    lengths = rng.integers(0, 9, rows)
    data: dict[str, object] = {
        "a": rng.normal(size=rows).astype(np.float32),
        "b": rng.integers(0, 50, rows).astype(np.int32),
        "a2": rng.normal(size=rows).astype(np.float32),
        "c": rng.integers(-(2**62), 2**62, rows),
        "many": Ragged(rng.integers(0, 50, lengths.sum()).astype(np.int32), lengths),
    }
    dtypes = {f.name: f.dtype for f in FEATURES}
    split = write_split(
        folder,
        "v",
        "train",
        COLUMNS,
        dtypes,
        data,  # type: ignore[arg-type]
        block_rows=block_rows,
        max_shards=max_shards,
    )
    schema = Schema("t", FEATURES, {"v": View(COLUMNS, {"train": split})})
    write_json(folder / SCHEMA_FILE, schema.to_json())
    return data


@settings(max_examples=20, deadline=None)
@given(rows=st.integers(1, 40), block_rows=st.integers(1, 50), shards=st.integers(1, 5))
def test_rows_come_back_as_a_multiset(
    tmp_path_factory: pytest.TempPathFactory, rows: int, block_rows: int, shards: int
) -> None:
    folder = tmp_path_factory.mktemp("blocks")
    put = write(folder, rows, block_rows, shards)
    got = PreparedDataset(folder).read("v", "train")
    order_in, order_out = np.argsort(put["c"]), np.argsort(got["c"])  # type: ignore[arg-type]
    for name, values in put.items():
        found = got[name]
        if isinstance(values, Ragged):
            assert isinstance(found, Ragged)
            values, found = values.take(order_in), found.take(order_out)
            np.testing.assert_array_equal(found.values, values.values)
            np.testing.assert_array_equal(found.lengths, values.lengths)
        else:
            np.testing.assert_array_equal(found[order_out], values[order_in])  # type: ignore[index]


def test_blocks_are_dealt_evenly(tmp_path: Path) -> None:
    write(tmp_path, rows=95, block_rows=10, max_shards=4)
    shards = Schema.load(tmp_path).view("v").splits["train"].shards
    assert [s.blocks for s in shards] == [3, 3, 2, 2]
    assert sum(s.rows for s in shards) == 95


def test_truncated_shard_names_file_and_offset(tmp_path: Path) -> None:
    write(tmp_path, 20, 10, 1)
    (path,) = (tmp_path / "v").iterdir()
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.truncate(size - 7)
    with pytest.raises(InputError, match=rf"{size} bytes .* {size - 7} bytes.*{path.name}, offset"):
        PreparedDataset(tmp_path)


def test_what_cannot_be_written_is_an_error_of_the_system(tmp_path: Path) -> None:
    with largest_file(1_000), pytest.raises(OSError, match=r"train-00000.*too large"):
        write(tmp_path, 4_000, 4_000, 1)


def test_corrupted_record_names_file_record_and_offset(tmp_path: Path) -> None:
    write(tmp_path, 20, 10, 1)
    (path,) = (tmp_path / "v").iterdir()
    content = bytearray(path.read_bytes())
    content[-20] ^= 0xFF  # in the second of two records
    path.write_bytes(content)
    first = int.from_bytes(content[:8], "little") + 16
    with pytest.raises(InputError, match=rf"checksum.*{path.name}, record 2, offset {first}\."):
        PreparedDataset(tmp_path).read("v", "train")


def test_no_dataset_there_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"schema.json.*data.prepare"):
        PreparedDataset(tmp_path / "nothing")


def test_another_format_version_is_refused(tmp_path: Path) -> None:
    write(tmp_path, 5, 5, 1)
    value = Schema.load(tmp_path).to_json()
    write_json(tmp_path / SCHEMA_FILE, {**value, "format_version": 99})
    with pytest.raises(InputError, match=r"format_version 1.*99"):
        PreparedDataset(tmp_path)
