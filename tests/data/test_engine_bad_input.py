"""Bad lines of tables with a spec: told with file, line and field, and they cost no other line."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from data.blocks import Ragged
from data.errors import InputError
from tests.data.bad_tables import (
    BAD_LINE,
    FEATURES,
    ROWS,
    check_nothing_is_left,
    check_recovers,
    line,
    prepare,
    rows_of,
    write_table,
)
from tests.data.raw_files import replace_line, says


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("1,2.5,7,Rome,a|b,2024-01-31", "6 of 7 fields"),
        (line() + ",more", "8 of 7 fields"),
        (line(city='"Rome'), "is not closed"),
        (line(city='Ro"me'), "inside a field without quotes"),
        (line(city='"Ro\nme"'), "field 'city': 'Ro\\nme' is not a text of at most 4,096 bytes"),
        (line(tags='"a|\nb"'), "field 'tags': 'a|\\nb' is not texts of at most 4,096 bytes"),
        (line(price="cheap"), "field 'price': 'cheap' is not a finite number"),
        (line(price='"2,5"'), "field 'price': '2,5' is not a finite number"),
        (line(price="NaN"), "field 'price': 'NaN' is not a finite number"),
        (line(price="inf"), "field 'price': 'inf' is not a finite number"),
        (line(price="-Infinity"), "field 'price': '-Infinity' is not a finite number"),
        (line(price="1e39"), "field 'price': '1e39' is not a finite number"),
        (line(price=" 1"), "field 'price': ' 1' is not a finite number"),
        (line(shop="x7"), "field 'shop': 'x7' is not an integer of 64 bits"),
        (line(shop="7.0"), "field 'shop': '7.0' is not an integer of 64 bits"),
        (line(shop="007"), "field 'shop': '007' is not an integer of 64 bits"),
        (line(shop=str(2**63)), f"field 'shop': '{2**63}' is not an integer of 64 bits"),
        (line(shop=str(-(2**63) - 1)), "is not an integer of 64 bits"),
        (line(city="x" * 10_000), "xxx' is not a text of at most 4,096 bytes"),
        (line(tags="a|" + "x" * 5_000), "is not texts of at most 4,096 bytes"),
        (line(time="31.1.2024"), "field 'time': '31.1.2024' is not an ISO 8601 date or time"),
        (line(time="2024-02-30"), "field 'time': '2024-02-30' is not an ISO 8601 date or time"),
        (line(time=""), "'; time is empty"),
        (line(label="2"), "field 'label': '2' is not a label: '0' or '0.0' or '1' or '1.0'"),
        (line(label="-1"), "field 'label': '-1' is not a label"),
        (line(label=""), "'; label is empty"),
    ],
)
def test_bad_line_is_told_with_its_place_and_costs_no_other(
    text: str, fault: str, tmp_path: Path
) -> None:
    source = write_table(tmp_path / "t.csv")
    replace_line(source, BAD_LINE, text.encode())
    place = f"t.csv, line {BAD_LINE} ("
    with pytest.raises(InputError, match=says("Each line must read label,", fault, place)) as told:
        prepare(source)
    assert len(str(told.value)) < 1_500
    check_nothing_is_left(tmp_path, "t.csv")
    if text.count('"') % 2 == 0:  # an open quote swallows the lines below it
        data = prepare(source, out="skipped", max_bad_lines=0.5)
        assert rows_of(data) == ROWS - 1
        assert data.schema.facts["preparation"]["skipped_lines"] == 1 + text.count("\n")
        shutil.rmtree(tmp_path / "skipped")
    check_recovers(source)


def test_line_too_short_is_not_made_up_for_by_one_too_long(tmp_path: Path) -> None:
    source = write_table(tmp_path / "t.csv")
    replace_line(source, 4, (line() + ",more").encode())
    replace_line(source, 9, b"1,2.5,7,Rome,a|b,2024-01-31")
    with pytest.raises(InputError, match=says("8 of 7 fields", "line 4 (2 of 12 lines")):
        prepare(source)


@pytest.mark.parametrize("quote", ['"', ""])
def test_ragged_lines_are_found_beside_quotes_and_without_them(quote: str, tmp_path: Path) -> None:
    source = write_table(tmp_path / "t.csv")
    replace_line(source, 3, line(note='"a, b"' if quote else "a b").encode())
    replace_line(source, 7, b"1,2.5,7,Rome,a|b,2024-01-31")
    with pytest.raises(InputError, match=says("6 of 7 fields", "line 7 (1 of 12 lines")):
        prepare(source, reads={"quote": quote})


def test_quotes_that_are_closed_are_no_fault(tmp_path: Path) -> None:
    source = write_table(tmp_path / "t.csv")
    replace_line(
        source, 3, line(city='"Rome, ""Roma"""', note='"one\n\ntwo, ""three""\n"').encode()
    )
    replace_line(source, 10, line(city='"Rome, ""Roma"""').encode())
    data = prepare(source)
    assert rows_of(data) == ROWS
    assert sorted(data.raw_ids("city").tolist()) == ["Rome", 'Rome, "Roma"']


def test_lines_are_counted_in_the_file_whatever_is_quoted_and_however_it_is_cut(
    tmp_path: Path,
) -> None:
    source = write_table(tmp_path / "t.csv")
    replace_line(source, 3, line(note='"one\ntwo\nthree"').encode())
    replace_line(source, 10, line(price="x").encode())
    for part_bytes in (64, 1 << 20):
        with pytest.raises(InputError, match=says("'x' is not a finite number", "line 10 (")):
            prepare(source, part_bytes=part_bytes)


def test_empty_values_are_missing_whether_quoted_or_not(tmp_path: Path) -> None:
    source = write_table(tmp_path / "t.csv")
    replace_line(source, 2, line(label="0", city='""', shop="", tags='""', price='""').encode())
    replace_line(source, 4, line(label="0", city="", shop='""', tags="||", price="").encode())
    for number, reads in enumerate(({}, {"missing": ["?"]})):
        data = prepare(source, reads=reads, out=f"out{number}")
        train = {name: data.read("rows", "train")[name] for name in FEATURES}
        assert data.raw_ids("city").tolist() == ["Rome"]
        assert sorted(np.asarray(train["city"]).tolist()) == [1, 1, *[2] * 7]
        assert sorted(np.asarray(train["shop"]).tolist()) == [1, 1, *[2] * 7]
        assert isinstance(train["tags"], Ragged)
        assert sorted(train["tags"].lengths.tolist()) == [0, 0, *[2] * 7]


def test_long_lists_of_short_values_are_taken(tmp_path: Path) -> None:
    source = write_table(tmp_path / "t.csv")
    replace_line(source, 2, line(label="0", tags="|".join(f"t{n}" for n in range(2_000))).encode())
    assert len(prepare(source).raw_ids("tags")) == 2_002


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        (line(city="Caf\xe9").encode("latin-1"), ("byte 0xe9 after '1,2.5,7,Caf'", "line 9")),
        (line(city="Rome").encode("utf-16"), ("byte 0xff after ''", "t.csv, line 9")),
    ],
)
def test_mixed_encodings(content: bytes, parts: tuple[str, ...], tmp_path: Path) -> None:
    source = write_table(tmp_path / "t.csv")
    replace_line(source, 3, line(city="Zürich").encode())
    replace_line(source, 9, content)
    with pytest.raises(InputError, match=says("must be utf-8 text", *parts)):
        prepare(source)
    check_nothing_is_left(tmp_path, "t.csv")
    check_recovers(source)


def test_second_file_of_another_encoding_or_with_other_columns(tmp_path: Path) -> None:
    folder = tmp_path / "days"
    folder.mkdir()
    write_table(folder / "a.csv")
    (folder / "b.csv").write_bytes((folder / "a.csv").read_text().encode("utf-16"))
    with pytest.raises(InputError, match=says("must be utf-8 text", "UTF-16", "b.csv", "iconv")):
        prepare(folder)
    (folder / "b.csv").write_text("label,price\n1,2\n")
    with pytest.raises(InputError, match=says("must be in the source once", "'shop'", "b.csv")):
        prepare(folder)
    check_nothing_is_left(tmp_path, "days")
