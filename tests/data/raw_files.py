"""Small source files in the formats of their makers, what they hold, and how to spoil them."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path

import polars as pl

from data.interactions import Interactions
from data.sources import movielens, table

# user, item, rating, time: in the order of the files.
EVENTS = [
    (10, 1, 5.0, 30),
    (10, 2, 3.0, 10),
    (10, 4, 4.0, 20),
    (3, 1, 2.0, 7),
    (3, 2, 1.0, 8),
    (3, 9, 4.0, 9),
    (25, 1, 3.0, 1),
    (25, 4, 5.0, 2),
    (25, 9, 5.0, 3),
]
GENRES_100K = 19


def event_frame() -> pl.DataFrame:
    """Returns `EVENTS` as a source delivers them."""
    schema = {"user": pl.Int64, "item": pl.Int64, "rating": pl.Float32, "time": pl.Int64}
    return pl.DataFrame(EVENTS, schema=schema, orient="row")


def _lines(separator: str) -> str:
    return "".join(separator.join(map(str, (u, i, int(r), t))) + "\n" for u, i, r, t in EVENTS)


def write_100k(folder: Path) -> None:
    """Writes MovieLens-100K: tabs, bars, and a flag for each genre."""
    (folder / "u.data").write_text(_lines("\t"))
    (folder / "u.user").write_text("3|17|F|student|00501\n10|49|M|writer|T8H1N\n25|80|F|other|1\n")
    flags = {1: (5, 8), 2: (), 4: (1, 18), 9: (0,)}
    titles = {1: "Été (1996)", 2: "unknown", 4: "Die Hard (1988)", 9: "Odd, fine (1990)"}
    lines = []
    for item, title in titles.items():
        genres = "|".join(str(int(n in flags[item])) for n in range(GENRES_100K))
        lines.append(f"{item}|{title}|01-Jan-1995||http://x|{genres}\n")
    (folder / "u.item").write_bytes("".join(lines).encode("latin-1"))


def write_1m(folder: Path) -> None:
    """Writes MovieLens-1M: two colons, latin-1 titles, ages in groups."""
    (folder / "ratings.dat").write_text(_lines("::"))
    (folder / "users.dat").write_text("3::F::1::10::48067\n10::M::45::0::1\n25::M::56::16::T8H\n")
    movies = (
        "1::Misérables, Les (1995)::Drama|Musical\n2::Toy: Story (1995)::Comedy\n"
        "4::Heat::Action\n9::Übermensch (1920)::Drama\n"
    )
    (folder / "movies.dat").write_bytes(movies.encode("latin-1"))


def write_25m(folder: Path) -> None:
    """Writes MovieLens-25M: CSV with headers, quotes and UTF-8."""
    rows = "".join(f"{u},{i},{r},{t}\n" for u, i, r, t in EVENTS)
    (folder / "ratings.csv").write_text("userId,movieId,rating,timestamp\n" + rows)
    (folder / "movies.csv").write_text(
        'movieId,title,genres\n1,"Misérables, Les (1995)",Drama|Musical\n'
        '2,"The ""Toy"" (1995)",Comedy\n4,Heat,(no genres listed)\n9,Übermensch (1920) ,Drama\n',
        encoding="utf-8",
    )


def zipped(folder: Path) -> Path:
    """Returns the folder as a zip archive, with the files in a folder as GroupLens packs them."""
    archive = folder.with_suffix(".zip")
    with zipfile.ZipFile(archive, "w") as file:
        for path in folder.iterdir():
            file.write(path, f"{folder.name}/{path.name}")
            file.writestr(f"__MACOSX/{folder.name}/._{path.name}", b"\0fork of the same name")
        file.writestr(f"__MACOSX/{folder.name}/{next(folder.iterdir()).name}", b"\0fork")
    return archive


def write_ncf(folder: Path) -> None:
    """Writes the NCF authors' three files; user 1 has its held-out item among its negatives."""
    train = "0\t0\t5\n0\t1\t4\n0\t2\t4\n1\t0\t3\n1\t3\t3\n2\t4\t1\n"
    test = "0\t3\t5\t978824351\n1\t1\t3\t978300174\n2\t0\t4\t978298504\n"
    negatives = "(0,3)\t4\t5\t6\n(1,1)\t5\t1\t4\n(2,0)\t1\t2\t3\n"
    for name, text in (("train.rating", train), ("test.rating", test)):
        (folder / f"tiny.{name}").write_text(text)
    (folder / "tiny.test.negative").write_text(negatives)


def says(*parts: str) -> str:
    """Returns a pattern of texts that must follow each other."""
    return ".*".join(re.escape(part) for part in parts)


def load_movielens(dataset: str, source: Path, share: float = 0.0) -> Interactions:
    """Loads MovieLens, skipping up to a share of malformed lines."""
    return movielens.load(movielens.MovieLensOptions(dataset, source, share))


def load_table(path: Path, text: str | bytes, **options: object) -> Interactions:
    """Writes a table and loads it."""
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return table.load(table.TableOptions(path, **options))  # type: ignore[arg-type]


def replace_line(path: Path, number: int, line: bytes) -> None:
    """Puts another line in the place of one, counted from 1."""
    lines = path.read_bytes().split(b"\n")
    lines[number - 1] = line
    path.write_bytes(b"\n".join(lines))
