"""Titles of items."""

from __future__ import annotations

from pathlib import Path

import pytest

from data.errors import InputError
from data.titles import read_titles


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
