"""Titles of items from a file of their own, as far as the prepared dataset."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from data.attribute_table import read_item_titles
from data.errors import InputError
from data.interactions import Interactions
from data.titles import read_titles, write_titles
from tests.data.reading import prepared


def interactions(items: list[int] | list[str]) -> Interactions:
    return Interactions("t", pl.DataFrame({"user": [1] * len(items), "item": items, "time": 0}))


@pytest.mark.parametrize(
    ("text", "titles"),
    [
        ('id\ttitle\n1\t"Hi", he said\n007\tA\u2028B\n', {"1": '"Hi", he said', "007": "A\u2028B"}),
        ('year,title,id\n1995,"Heat, the ""film""",x y\n', {"x y": 'Heat, the "film"'}),
        ("\ufeffid,title\r\né,\r\n", {"é": ""}),
        ("id\ttitle\n", {}),
    ],
)
def test_titles_by_id(tmp_path: Path, text: str, titles: dict[str, str]) -> None:
    path = tmp_path / "titles"
    path.write_text(text, encoding="utf-8")
    assert read_titles(path) == titles


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "Received: the columns none"),
        (b"1\tToy Story\n", "Received: the columns 1, Toy Story"),
        (b"id\ttitle\n1\tToy Story\n2\n", r"titles:3\."),
        (b"id,title\n,Toy Story\n", r"a line without an id and a title. At: .*titles:2\."),
        (b"id,title\n1,a\n1,b\n", r"the id '1' once more. At: .*titles:3\."),
        (b"id\ttitle\n1\tMis\xe9rables\n", "codec can't decode"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "titles"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_titles(path)


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No such file"):
        read_titles(tmp_path / "titles")


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


def test_written_titles_are_read_back(tmp_path: Path) -> None:
    pairs = [(7, "Seven\tof\nnine"), ("Ä-1", 'The "One"'), ("empty", ""), ("", "nobody's")]
    pairs += [("a  b", "two blanks"), ("a b", "one blank"), ("a\tb", "a tab")]
    write_titles(tmp_path / "titles.tsv", pairs)
    assert read_titles(tmp_path / "titles.tsv") == {
        "7": "Seven of nine",
        "Ä-1": 'The "One"',
        "a  b": "two blanks",
        "a b": "one blank",
    }
