"""Damaged or unusual files: said in one message, and never read as if they were whole."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from data import candidates
from data.assemble import PrepareOptions
from data.candidates import TouchedItems, draw_negatives
from data.dataset import PreparedDataset
from data.errors import InputError
from data.interactions import Interactions
from data.sources import synthetic, table
from data.sources.files import SourceFiles
from tests.data.raw_files import (
    event_frame,
    load_movielens,
    load_table,
    says,
    write_25m,
    zipped,
)
from tests.data.reading import attributes, prepared


def test_archive_with_a_damaged_file(tmp_path: Path) -> None:
    (tmp_path / "ml").mkdir()
    write_25m(tmp_path / "ml")
    archive = zipped(tmp_path / "ml")
    archive.write_bytes(archive.read_bytes().replace(b"10,2,3.0,10", b"10,2,5.0,10"))
    with pytest.raises(InputError, match=says("must unpack", "CRC", "ml/ratings.csv", "again")):
        load_movielens("movielens_25m", archive)


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("second", ["old/u.data", "ml/u.data"])
def test_archive_with_two_files_of_one_name(second: str, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "ml.zip", "w") as archive:
        for name in ("ml/u.data", second, "a/README", "b/README", "u.user"):
            archive.writestr(name, "1")
    files = SourceFiles(tmp_path / "ml.zip")
    assert files.read("u.user") == b"1"
    with pytest.raises(InputError, match=says("one file 'u.data'", f"ml/u.data, {second}")):
        files.read("u.data")


def test_lines_that_end_in_cr_alone(tmp_path: Path) -> None:
    found = says("end in LF or CR LF", "t.csv, line 1", r"tr '\r' '\n' < FILE")
    with pytest.raises(InputError, match=found):
        load_table(tmp_path / "t.csv", "user,item\r1,2\r")


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le"])
def test_utf_16_is_told_from_latin_1(encoding: str, tmp_path: Path) -> None:
    text = "user,item\n1,2\n".encode(encoding)
    with pytest.raises(InputError, match=says("UTF-16", "t.csv", "iconv -f utf-16 -t utf-8")):
        load_table(tmp_path / "t.csv", text)


@pytest.mark.parametrize("key", ["user", "item"])
def test_column_without_a_name(key: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=says(f"--{key}_column must name", "Known: item, user")):
        load_table(tmp_path / "t.csv", "user,item\n1,2\n", **{f"{key}_column": ""})
    pl.DataFrame({"user": [1], "item": [2]}).write_parquet(tmp_path / "t.parquet")
    columns = {"user": "user", "item": "item", key: ""}
    with pytest.raises(InputError, match=says(f"--{key}_column must name", "Known: item, user")):
        table.load(table.TableOptions(tmp_path / "t.parquet", columns["user"], columns["item"]))


def test_times_finer_than_a_microsecond_are_cut_off(tmp_path: Path) -> None:
    text = "user,item,at\n1,1,1970-01-01T00:00:01.123456789Z\n1,2,1970-01-01 00:00:02.1234567\n"
    events = load_table(tmp_path / "t.csv", text, time_column="at").events
    assert events["time"].to_list() == [1_123_456, 2_123_456]


@pytest.mark.parametrize(
    ("damage", "found"),
    [
        (lambda text: text.rpartition("\n")[0], "8 whole lines and a line without its end"),
        (lambda text: text.partition("\n")[2], "8 whole lines"),
        (lambda text: text + "x\n", "10 whole lines"),
        (lambda text: text + "x", "9 whole lines and a line"),
        (lambda text: "", "0 whole lines"),
        (None, "no such file"),
    ],
)
def test_vocabulary_of_another_length(damage: object, found: str, tmp_path: Path) -> None:
    events = pl.DataFrame({"user": [1] * 11, "item": range(11), "time": range(11)})
    data = prepared(Interactions("t", events), tmp_path / "out")
    path = data.folder / "vocab" / "item.txt"
    if callable(damage):
        path.write_text(damage(path.read_text()))
    else:
        path.unlink()
    with pytest.raises(InputError, match=says("must hold the 9 lines", found, "vocab/item.txt")):
        PreparedDataset(data.folder)


@pytest.mark.parametrize("dtype", [pl.Int64, pl.String, pl.List(pl.String)])
def test_attribute_that_no_item_has(dtype: pl.DataType, tmp_path: Path) -> None:
    movies = pl.DataFrame({"item": [1, 2, 4, 9]}).with_columns(year=pl.lit(None, dtype))
    data = prepared(Interactions("t", event_frame(), items=movies), tmp_path / "out")
    assert data.schema.cardinality("year") == 2
    empty = [] if dtype == pl.List(pl.String) else "?"
    assert set(map(str, attributes(data, "item", "year").values())) == {str(empty)}


def test_best_scores_are_named_by_the_number_of_negatives(tmp_path: Path) -> None:
    world = synthetic.SyntheticOptions(users=60, items=150, ratings=1500, tastes=4)
    data = prepared(synthetic.load(world), tmp_path / "out", PrepareOptions(negatives=20))
    for split in ("validation", "test"):
        names = data.schema.facts["best_scores"][split]
        assert {name.partition("/")[2] for name in names} == {"sampled20", "full"}


@pytest.mark.parametrize("cells", [1, 1 << 25])
def test_more_negatives_than_items_give_them_all(
    cells: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(candidates, "DRAW_CELLS", cells)
    touched = TouchedItems(np.array([0, 1, 1]), np.array([2, 3, 4], np.int32), 3, 5)
    drawn = draw_negatives(np.arange(3), touched, 10**12, [0])
    assert drawn.lengths.tolist() == [4, 3, 5]
    assert drawn.values.tolist() == [3, 4, 5, 6, 2, 5, 6, 2, 3, 4, 5, 6]
