"""Malformed lines: the message names file and line, what was expected, and what to do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from data.errors import InputError
from data.sources import ncf_authors
from tests.data.raw_files import (
    load_movielens,
    load_table,
    replace_line,
    says,
    write_1m,
    write_25m,
    write_100k,
    write_ncf,
)
from tests.data.reading import prepared


@pytest.mark.parametrize(
    ("dataset", "write", "file", "number", "line", "rule", "fault"),
    [
        (
            "movielens_100k",
            write_100k,
            "u.data",
            3,
            b"10\t4\tfour\t20",
            "user<TAB>item<TAB>rating<TAB>time with user an integer",
            r"'10\t4\tfour\t20'; field 'rating': 'four' is not a finite number",
        ),
        (
            "movielens_1m",
            write_1m,
            "ratings.dat",
            9,
            b"25::9::5",
            "user::item::rating::time with user an integer",
            "'25::9::5'; 3 of 4 fields",
        ),
        (
            "movielens_1m",
            write_1m,
            "movies.dat",
            2,
            b"x::Toy Story (1995)::Comedy",
            "item::title::genres with item an integer",
            "field 'item': 'x' is not an integer",
        ),
        (
            "movielens_25m",
            write_25m,
            "ratings.csv",
            2,
            b"10,1,,30",
            "user,item,rating,time with user an integer",
            "'10,1,,30'; rating is empty",
        ),
        (
            "movielens_25m",
            write_25m,
            "movies.csv",
            3,
            b'2,"Open (1995),Comedy',
            "item,title,genres with item an integer",
            'a " that is not closed',
        ),
    ],
)
def test_malformed_line_of_movielens(
    dataset: str,
    write: Callable[[Path], None],
    file: str,
    number: int,
    line: bytes,
    rule: str,
    fault: str,
    tmp_path: Path,
) -> None:
    write(tmp_path)
    replace_line(tmp_path / file, number, line)
    pattern = says("Each line must read " + rule, fault, f"At: {file}, line {number} (")
    with pytest.raises(InputError, match=pattern):
        load_movielens(dataset, tmp_path)


def test_malformed_lines_of_the_ncf_files(tmp_path: Path) -> None:
    def load() -> None:
        ncf_authors.load(ncf_authors.NcfOptions(tmp_path))

    write_ncf(tmp_path)
    replace_line(tmp_path / "tiny.train.rating", 4, b"1 0 3")
    with pytest.raises(InputError, match=says("item<TAB>rating", "tiny.train.rating, line 4 (")):
        load()
    write_ncf(tmp_path)
    replace_line(tmp_path / "tiny.test.negative", 2, b"(1,1)\t5\tx\t4")
    found = says("(user,item)<TAB>negative", r"'(1,1)\t5\tx\t4'", "tiny.test.negative, line 2.")
    with pytest.raises(InputError, match=found):
        load()
    replace_line(tmp_path / "tiny.test.negative", 2, b"(1,2)\t5\t4")
    with pytest.raises(InputError, match=says("pair of the test file", "user 1, item 2", "line 2")):
        load()
    replace_line(tmp_path / "tiny.test.negative", 2, b"(0,3)\t5\t4")
    with pytest.raises(
        InputError, match=says("Each user must have one line", "user 0, item 3", "line 2")
    ):
        load()


def test_ncf_test_pair_without_negatives_is_no_free_hit(tmp_path: Path) -> None:
    write_ncf(tmp_path)
    (tmp_path / "tiny.test.negative").write_text("(0,3)\t4\t5\n(2,0)\t1\t2\n")
    with pytest.raises(InputError, match=says("must have a line of negatives", "user 1, item 1")):
        ncf_authors.load(ncf_authors.NcfOptions(tmp_path))


TWENTY = "user,item,at\n" + "".join(f"{n},{n % 5},{n}\n" for n in range(20))


def test_malformed_lines_are_skipped_up_to_the_stated_share(tmp_path: Path) -> None:
    text = TWENTY.replace("\n3,3,3\n", "\n3,,3\n").replace("\n7,2,7\n", "\n7,2\n")
    path = tmp_path / "sales.csv"
    source = load_table(path, text, time_column="at", max_bad_lines=0.1)
    assert source.events["user"].to_list() == [n for n in range(20) if n not in (3, 7)]
    assert source.skipped_lines == {"sales.csv": 2}
    rule = "Each line must read user,item,at with user an id that is not empty, item an id"
    shown = "'3,,3'; item is empty"
    where = "sales.csv, line 5 (2 of 20 lines are malformed: item is empty in line 5; 2 of 3"
    action = "skip a share of the lines: --max_bad_lines=0.01; now 0.09"
    with pytest.raises(InputError, match=says(rule, shown, where, action)):
        load_table(path, text, time_column="at", max_bad_lines=0.09)


def test_skipped_lines_are_counted_by_file_and_kept_in_the_provenance(tmp_path: Path) -> None:
    write_1m(tmp_path)
    replace_line(tmp_path / "ratings.dat", 4, b"3::1")
    source = load_movielens("movielens_1m", tmp_path, share=0.2)
    assert len(source.events) == 8
    data = prepared(source, tmp_path / "out")
    assert data.schema.provenance["options"]["skipped_lines"] == {"ratings.dat": 1}


def test_quote_left_open_counts_every_line_it_swallows(tmp_path: Path) -> None:
    text = TWENTY.replace("\n10,0,10\n", '\n10,"0,10\n')
    where = says("open.csv, line 12 (10 of 20 lines are malformed)")
    with pytest.raises(InputError, match=f'a " that is not closed.*{where}'):
        load_table(tmp_path / "open.csv", text, max_bad_lines=0.1)


@pytest.mark.parametrize("time", ["yesterday", "2024-02-30", "2024-01-01T25:00", "2024-01-01 1:00"])
def test_date_that_is_none_is_malformed(time: str, tmp_path: Path) -> None:
    text = f"user,item,at\n1,1,2024-01-01\n1,2,{time}\n1,3,2024-01-03\n"
    expected = says("at an ISO 8601 date", f"field 'at': '{time}' is not an ISO", "line 3 (")
    with pytest.raises(InputError, match=expected):
        load_table(tmp_path / "t.csv", text, time_column="at")
    source = load_table(tmp_path / "t.csv", text, time_column="at", max_bad_lines=0.5)
    assert source.events["item"].to_list() == [1, 3]


def test_malformed_lines_are_counted_by_reason_under_the_columns_own_names(tmp_path: Path) -> None:
    lines = [f"k{n},a{n % 5},{n},2024-01-01,01" for n in range(40)]
    for n in (3, 5, 8, 13, 21, 34):
        lines[n] = f"k{n},,{n},2024-01-01,01"
    lines[7] = lines[9] = "k7,a2,7,yesterday,01"
    lines[30] = "k30,a0"
    text = "\n".join(["kunde,artikel,menge,am,filiale", *lines])
    names = {"user_column": "kunde", "item_column": "artikel", "time_column": "am"}
    found = says(
        "Each line must read kunde,artikel,menge,am,filiale with kunde an id",
        "Received: 'k3,,3,2024-01-01,01'; artikel is empty. At: t.csv, line 5 (9 of 40 lines",
        ": artikel is empty in 6: lines 5, 7, 10, 15, 23, ...; "
        "am is not an ISO 8601 date or time in 2: lines 9, 11; 2 of 5 fields in line 32).",
    )
    with pytest.raises(InputError, match=found):
        load_table(tmp_path / "t.csv", text, **names)


def test_all_lines_malformed(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=says("Each line must read", "no line of data", "t.csv")):
        load_table(tmp_path / "t.csv", "user,item\n1\n2\n", max_bad_lines=1.0)
