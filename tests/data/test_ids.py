"""Raw ids and numbers as sources spell them: nothing merges, nothing reserved gets through."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from data.errors import InputError
from data.events import Events
from data.sources import delimited, ncf_authors, table
from tests.data.raw_files import (
    load_movielens,
    load_table,
    replace_line,
    says,
    write_1m,
    write_25m,
    write_ncf,
)


def items(path: Path, spelled: list[str], **options: Any) -> list[Any]:
    rows = "".join(f"{n},{item}\n" for n, item in enumerate(spelled))
    return load_table(path, "user,item\n" + rows, **options).events["item"].to_list()


@pytest.mark.parametrize("part_bytes", [delimited.PART_BYTES, 20])
@pytest.mark.parametrize(
    "odd", ["007", "+7", "-0", "7.0", "x", "7_0", "\u0667", str(2**63), "7" * 30]
)
def test_one_id_that_is_no_plain_integer_makes_all_of_them_text(
    odd: str, part_bytes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delimited, "PART_BYTES", part_bytes)
    spelled = ["7", "70", *map(str, range(2000)), odd]
    assert items(tmp_path / "t.csv", spelled) == spelled


def test_integer_ids_are_integers_whatever_blanks_are_around_them(tmp_path: Path) -> None:
    spelled = ["0", "-12", " 7", "7 ", str(2**63 - 1), str(-(2**63)), '"8"']
    expected = [0, -12, 7, 7, 2**63 - 1, -(2**63), 8]
    assert items(tmp_path / "t.csv", spelled) == expected
    assert items(tmp_path / "t.csv", [" a", "7 ", '" b "']) == ["a", "7", "b"]


def test_note_on_ids_that_are_text_though_most_are_integers(tmp_path: Path) -> None:
    text = "user,item\n1,1\n\n2,2\n3, 03\n4,04\n5,5\n6,6\n"
    source = load_table(tmp_path / "t.csv", text)
    assert source.facts == {
        "notes": [
            "item ids are text, as 2 of 6 are no integers in plain spelling; "
            "the first is '03' (t.csv, line 5)"
        ]
    }
    assert load_table(tmp_path / "t.csv", "user,item\nx,1\ny,2\n1,3\n").facts == {}


@pytest.mark.parametrize("empty", ['""', "", "  "])
def test_empty_id_is_a_malformed_line(empty: str, tmp_path: Path) -> None:
    fault = says(f"'1,{empty}'; item is empty", "t.csv, line 3 (1 of 3")
    with pytest.raises(InputError, match=fault):
        items(tmp_path / "t.csv", ["a", empty, "b"])
    assert items(tmp_path / "t.csv", ["a", empty, "b"], max_bad_lines=0.5) == ["a", "b"]


RESERVED = "with which serving pads requests"


def test_reserved_integer_names_its_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=says("No item", RESERVED, "-1", "t.csv, line 3", "Give")):
        items(tmp_path / "t.csv", ["1", "-1", "2"])
    assert items(tmp_path / "t.csv", ["1", "-1", "x"]) == ["1", "-1", "x"]
    write_1m(tmp_path)
    replace_line(tmp_path / "ratings.dat", 2, b"-1::2::3::10")
    fault = says("field 'user': '-1' is not an integer other than -1", "ratings.dat, line 2 (")
    with pytest.raises(InputError, match=fault):
        load_movielens("movielens_1m", tmp_path)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"item": ["a", ""]}, ("No item", RESERVED, "''", "column 'item', row 2")),
        ({"item": [3, -1]}, ("No item", RESERVED, "-1", "column 'item', row 2")),
        (
            {"user": pl.Series([1, 2**63], dtype=pl.UInt64)},
            ("Every user must fit", str(2**63), "column 'user', row 2", "as text"),
        ),
        (
            {"at": pl.Series([1, 2], dtype=pl.Duration("us"))},
            ("time column must hold integers, dates", "Duration"),
        ),
        ({"at": pl.Series([1, 2], dtype=pl.Time)}, ("time column must hold integers", "Time")),
    ],
)
def test_parquet_refuses(columns: dict[str, Any], message: tuple[str, ...], tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    pl.DataFrame({"user": [1, 2], "item": [3, 4], **columns}).write_parquet(path)
    with pytest.raises(InputError, match=says(*message)):
        table.load(table.TableOptions(path, time_column="at" if "at" in columns else ""))


@pytest.mark.parametrize(("ids", "shown"), [(["a", ""], "''"), ([5, -1], "-1")])
def test_events_of_any_source_refuse_reserved_ids(ids: list[Any], shown: str) -> None:
    frame = pl.DataFrame({"user": [1, 2], "item": ids})
    with pytest.raises(InputError, match=says("No item", RESERVED, shown, "event 2")):
        Events.from_frame(frame)


@pytest.mark.parametrize(
    "odd", ["+12", "007", "-0", "\uff11\uff12", " 12", "12 ", "1e3", str(2**63), ""]
)
def test_integer_fields_have_one_spelling(odd: str, tmp_path: Path) -> None:
    write_25m(tmp_path)
    replace_line(tmp_path / "ratings.csv", 3, f"10,2,3,{odd}".encode())
    wrong = f"field 'time': {odd!r} is not an integer" if odd else "'; time is empty"
    fault = says(wrong, "ratings.csv, line 3 (1 of 9")
    with pytest.raises(InputError, match=fault):
        load_movielens("movielens_25m", tmp_path)
    write_ncf(tmp_path)
    replace_line(tmp_path / "tiny.train.rating", 2, f"{odd}\t1\t4".encode())
    wrong = repr(odd) if odd else "'; user is empty"
    with pytest.raises(InputError, match=says(wrong, "tiny.train.rating, line 2 (1 of 6")):
        ncf_authors.load(ncf_authors.NcfOptions(tmp_path))


@pytest.mark.parametrize("part_bytes", range(1, 60, 7))
def test_parts_of_a_file_join_without_a_seam(
    part_bytes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delimited, "PART_BYTES", part_bytes)
    text = "user,item,rating,at\r\n" + "".join(f"{n},{n * 7},1.5,{n}\r\n\r\n" for n in range(20))
    options = {"rating_column": "rating", "time_column": "at"}
    for whole in (text, text.rstrip(), text.replace("\n3,", '\n"3",')):
        events = load_table(tmp_path / "t.csv", whole, **options).events
        assert events.rows() == [(n, n * 7, 1.5, n) for n in range(20)]


@pytest.mark.parametrize("odd", ["1e39", "-4e38", "inf", "nan", "\uff14", "4_0", "4 "])
def test_ratings_must_fit_float32(odd: str, tmp_path: Path) -> None:
    write_25m(tmp_path)
    replace_line(tmp_path / "ratings.csv", 3, f"10,2,{odd},7".encode())
    fault = says(f"field 'rating': {odd!r} is not a finite number", "ratings.csv, line 3 (1 of 9")
    with pytest.raises(InputError, match=fault):
        load_movielens("movielens_25m", tmp_path)


@pytest.mark.parametrize(("file", "header"), [("ratings.csv", "userId"), ("movies.csv", "movieId")])
def test_movielens_headers(file: str, header: str, tmp_path: Path) -> None:
    write_25m(tmp_path)
    path = tmp_path / file
    content = path.read_bytes()
    path.write_bytes(b"\xef\xbb\xbf" + content.replace(b"\n", b"\r\n"))
    assert len(load_movielens("movielens_25m", tmp_path).events) == 9
    _, _, body = content.partition(b"\n")
    path.write_bytes(body)
    first = body.partition(b"\n")[0].decode()
    with pytest.raises(InputError, match=says(first, f"and not '{header},", f"{file}, line 1")):
        load_movielens("movielens_25m", tmp_path)


@pytest.mark.parametrize(
    ("number", "line", "message"),
    [
        (2, b"(1,1)\t5\t4\t5", ("list a negative twice", "user 1, item 5", "line 2")),
        (1, b"(0,3)\t4\t1\t5", ("that the user has in the training file", "item 1", "line 1")),
        (3, b"(0,3)\t4\t5", ("Each user must have one line", "user 0, item 3", "line 3")),
        (2, b"(1,1)\t" + b"9" * 20, ("at most 18 digits", "line 2")),
        (2, "(1,1)\t\u0665".encode(), ("all integers", "line 2")),
        (2, b"(1,1)\t05", ("without leading zeros", "line 2")),
    ],
)
def test_ncf_negatives_that_do_not_fit(
    number: int, line: bytes, message: tuple[str, ...], tmp_path: Path
) -> None:
    write_ncf(tmp_path)
    replace_line(tmp_path / "tiny.test.negative", number, line)
    with pytest.raises(InputError, match=says(*message[:-1], f"tiny.test.negative, {message[-1]}")):
        ncf_authors.load(ncf_authors.NcfOptions(tmp_path))
