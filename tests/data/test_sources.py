"""Sources: MovieLens in all its formats, the NCF authors' files, tables."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from data.assemble import PrepareOptions
from data.interactions import Interactions
from data.sources import movielens, ncf_authors, table
from data.splits import SplitOptions
from tests.data.raw_files import (
    event_frame,
    write_1m,
    write_25m,
    write_100k,
    write_ncf,
    zipped,
)
from tests.data.reading import attributes, prepared, raw_lists

WRITERS: dict[str, Callable[[Path], None]] = {
    "movielens_100k": write_100k,
    "movielens_1m": write_1m,
    "movielens_25m": write_25m,
}


def movielens_source(dataset: str, folder: Path, as_zip: bool) -> Interactions:
    folder.mkdir()
    WRITERS[dataset](folder)
    source = zipped(folder) if as_zip else folder
    return movielens.load(movielens.MovieLensOptions(dataset, source))


def by_id(frame: pl.DataFrame | None, key: str, name: str) -> dict[int, Any]:
    assert frame is not None
    return dict(frame.select(key, name).iter_rows())


@pytest.mark.parametrize("as_zip", [False, True])
@pytest.mark.parametrize("dataset", WRITERS)
def test_movielens_ratings_from_folder_and_zip(dataset: str, as_zip: bool, tmp_path: Path) -> None:
    source = movielens_source(dataset, tmp_path / "ml", as_zip)
    assert_frame_equal(source.events, event_frame())
    assert {len(sha) for sha in source.files.values()} == {64}
    assert set(source.files) == {path.name for path in (tmp_path / "ml").iterdir()}


def test_movielens_100k_attributes(tmp_path: Path) -> None:
    source = movielens_source("movielens_100k", tmp_path / "ml", as_zip=False)
    assert source.users is not None
    assert source.users.columns == ["user", "age", "gender", "occupation"]
    assert by_id(source.users, "user", "age") == {3: 1, 10: 45, 25: 56}
    assert by_id(source.users, "user", "gender") == {3: "F", 10: "M", 25: "F"}
    assert by_id(source.users, "user", "occupation") == {3: "student", 10: "writer", 25: "other"}
    assert by_id(source.items, "item", "title")[1] == "Été (1996)"
    assert by_id(source.items, "item", "year") == {1: 1996, 2: None, 4: 1988, 9: 1990}
    genres = {1: ["Comedy", "Drama"], 2: [], 4: ["Action", "Western"], 9: ["unknown"]}
    assert by_id(source.items, "item", "genres") == genres


def test_movielens_1m_attributes(tmp_path: Path) -> None:
    source = movielens_source("movielens_1m", tmp_path / "ml", as_zip=True)
    assert by_id(source.users, "user", "age") == {3: 1, 10: 45, 25: 56}
    assert by_id(source.users, "user", "occupation") == {3: 10, 10: 0, 25: 16}
    assert by_id(source.items, "item", "title")[9] == "Übermensch (1920)"
    assert by_id(source.items, "item", "year") == {1: 1995, 2: 1995, 4: None, 9: 1920}
    assert by_id(source.items, "item", "genres")[1] == ["Drama", "Musical"]


def test_movielens_25m_attributes(tmp_path: Path) -> None:
    source = movielens_source("movielens_25m", tmp_path / "ml", as_zip=False)
    assert source.users is None
    titles = by_id(source.items, "item", "title")
    assert (titles[1], titles[2]) == ("Misérables, Les (1995)", 'The "Toy" (1995)')
    assert by_id(source.items, "item", "year") == {1: 1995, 2: 1995, 4: None, 9: 1920}
    genres = {1: ["Drama", "Musical"], 2: ["Comedy"], 4: [], 9: ["Drama"]}
    assert by_id(source.items, "item", "genres") == genres


def test_attributes_land_on_the_right_ids(tmp_path: Path) -> None:
    source = movielens_source("movielens_1m", tmp_path / "ml", as_zip=False)
    split = SplitOptions("time", test_from=30)  # all but user 10's last event: every id is known
    data = prepared(source, tmp_path / "out", PrepareOptions(split=split, negatives=1))
    assert attributes(data, "user", "age") == {3: 1, 10: 45, 25: 56}
    assert attributes(data, "user", "occupation") == {3: 10, 10: 0, 25: 16}
    assert attributes(data, "user", "gender") == {3: "F", 10: "M", 25: "M"}
    genres = {1: ["Drama", "Musical"], 2: ["Comedy"], 4: ["Action"], 9: ["Drama"]}
    assert attributes(data, "item", "genres") == genres
    assert attributes(data, "item", "year") == {1: 1995, 2: 1995, 4: "?", 9: 1920}
    assert attributes(data, "item", "title")[1] == "Misérables, Les (1995)"


def test_movielens_10m_has_no_users_file(tmp_path: Path) -> None:
    write_1m(tmp_path)
    (tmp_path / "users.dat").unlink()
    assert movielens.load(movielens.MovieLensOptions("movielens_1m", tmp_path)).users is None


def test_ncf_negatives_are_kept_and_the_held_out_item_counts_once(tmp_path: Path) -> None:
    folder = tmp_path / "ncf"
    folder.mkdir()
    write_ncf(folder)
    source = ncf_authors.load(ncf_authors.NcfOptions(folder, seed=1))
    options = PrepareOptions(split=SplitOptions("given"))
    data = prepared(source, tmp_path / "out", options)
    known = set(data.raw_ids("item").tolist())
    negatives = raw_lists(data, "test", "negative_item")
    # User 1 holds out item 1, which its line (5, 1, 4) lists; items 5 and 6 are in no event.
    expected = {0: [4, 5, 6], 1: [5, 4], 2: [1, 2, 3]}
    shown = {u: [i if i in known else "?" for i in items] for u, items in expected.items()}
    assert negatives == shown
    assert raw_lists(data, "test", "item") == {
        u: [i if i in known else "?"] for u, i in ((0, 3), (1, 1), (2, 0))
    }
    card = data.schema.candidates["test"]
    assert (card.sampling, card.seed, card.negatives) == ("given", None, 3)
    assert data.schema.candidates["validation"].sampling == "uniform"


def test_ncf_validation_is_one_random_training_item_of_each_user_with_two(tmp_path: Path) -> None:
    write_ncf(tmp_path)
    drawn = set()
    for seed in range(20):
        events = ncf_authors.load(ncf_authors.NcfOptions(tmp_path, seed)).events
        assert events.group_by("split").len().sort("split")["len"].to_list() == [3, 4, 2]
        validation = events.filter(split="validation").sort("user")
        assert validation["user"].to_list() == [0, 1]
        assert events.filter(split="test")["item"].to_list() == [3, 1, 0]
        drawn.add(tuple(validation["item"]))
    assert drawn == {(a, b) for a in (0, 1, 2) for b in (0, 3)}


def text_table(separator: str) -> str:
    rows = [
        ["when", "customer", "note", "sku", "stars"],
        ["2024-01-02", "ann", '"a ""b"', "007", "4.5"],
        ["2024-01-01T12:00:00Z", "bob", '"two\nlines"', "7", "1"],
        ["2024-01-01 12:00:00.5+02:00", "ann", "", '"x y"', "3"],
    ]
    return "\n".join(separator.join(row) for row in rows)


@pytest.mark.parametrize(("name", "separator"), [("t.csv", ","), ("t.tsv", "\t"), ("t.txt", "\t")])
def test_text_tables_with_a_column_mapping(name: str, separator: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text_table(separator))
    options = table.TableOptions(tmp_path / name, "customer", "sku", "stars", "when")
    events = table.load(options).events
    start = 1_704_110_400_000_000  # 2024-01-01 12:00 UTC in microseconds
    hour = 3_600_000_000
    expected = {
        "user": ["ann", "bob", "ann"],
        "item": ["007", "7", "x y"],
        "rating": [4.5, 1.0, 3.0],
        "time": [start + 12 * hour, start, start - 2 * hour + 500_000],
    }
    assert events.to_dict(as_series=False) == expected
    assert events.schema == {
        "user": pl.String,
        "item": pl.String,
        "rating": pl.Float32,
        "time": pl.Int64,
    }


def test_table_takes_byte_order_mark_windows_lines_and_integers(tmp_path: Path) -> None:
    path = tmp_path / "excel.csv"
    path.write_bytes("\ufeffuser,item,at\r\n5,-3,100\r\n6,0,90\r\n".encode())
    events = table.load(table.TableOptions(path, time_column="at")).events
    assert events.rows() == [(5, -3, 100), (6, 0, 90)]


def test_parquet_with_a_column_mapping(tmp_path: Path) -> None:
    frame = pl.DataFrame(
        {
            "sku": pl.Series([7, 8], dtype=pl.UInt16),
            "noise": [None, None],
            "customer": ["ann", "bob"],
            "stars": [4, 5],
            "when": pl.Series([0, 1], dtype=pl.Datetime("ms", "Europe/Berlin")),
        }
    )
    frame.write_parquet(tmp_path / "t.parquet")
    options = table.TableOptions(tmp_path / "t.parquet", "customer", "sku", "stars", "when")
    events = table.load(options).events
    assert events.rows() == [("ann", 7, 4.0, 0), ("bob", 8, 5.0, 1000)]
