"""Titles of items from a file of their own, as far as the prepared dataset."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from data.attribute_table import read_item_titles
from data.errors import InputError
from data.interactions import Interactions
from data.titles import read_titles
from tests.data.reading import prepared


def interactions(items: list[int] | list[str]) -> Interactions:
    return Interactions("t", pl.DataFrame({"user": [1] * len(items), "item": items, "time": 0}))


def written(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_commas_and_tabs_and_quotes(tmp_path: Path) -> None:
    expected = {"7": "Tea, green", "b 8": 'A "large" cup'}
    csv = 'id,title\r\n7,"Tea, green"\r\n\r\nb 8,"A ""large"" cup"\r\n'
    assert read_titles(written(tmp_path / "titles.csv", "\ufeff" + csv)) == expected
    tsv = 'id\ttitle\n7\tTea, green\nb 8\t"A ""large"" cup"\n'
    assert read_titles(written(tmp_path / "titles.tsv", tsv)) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 0"),
        ("item,title\n1,a\n", "'item,title'"),
        ("id,title\n1,a\n2,b,c\n", "line 3"),
        ("id,title\n1,a\n1,b\n", "repeated id: '1,b'"),
        ("id,title\n,a\n", "line 2"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_titles(written(tmp_path / "titles.csv", text))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"No such file.*nothing\.csv"):
        read_titles(tmp_path / "nothing.csv")


@pytest.mark.parametrize("items", [[5, 9, 4], ["5", "9", "x"]])
def test_titles_reach_the_prepared_dataset(tmp_path: Path, items: list[int] | list[str]) -> None:
    source = interactions(items)
    source.add_item_titles({"5": "five", "4": "four", "not sold": "?"})
    data = prepared(source, tmp_path / "out")
    titles = read_item_titles(data)
    assert titles is not None
    known = dict(zip(data.raw_ids("item").tolist(), titles[2:].tolist(), strict=True))
    assert known == {item: {"5": "five", "4": "four"}.get(str(item), "") for item in known}
    assert known[items[0]] == "five"


def test_titles_of_nothing_and_titles_twice_are_refused() -> None:
    source = interactions([5, 9])
    with pytest.raises(InputError, match=r"1 ids, such as 'b'.*items such as [59]"):
        source.add_item_titles({"b": "five"})
    source.add_item_titles({"5": "five"})
    with pytest.raises(InputError, match="without titles"):
        source.add_item_titles({"5": "five"})
