"""MovieLens in the formats in which GroupLens gives it: 100K, 1M (and 10M), 20M, 25M, latest.

The source is the unpacked folder or the zip archive as downloaded. Ages of users come in the
groups of MovieLens-1M in every dataset; the year of a movie is taken from its title.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from data.errors import InputError
from data.interactions import Interactions
from data.sources.bad_lines import SHOWN_CHARACTERS
from data.sources.delimited import decode_text, read_delimited
from data.sources.files import SourceFiles
from data.sources.layout import (
    IGNORED,
    INTEGER,
    INTEGER_ID,
    NUMBER,
    OPTIONAL_TEXT,
    TEXT,
    Kind,
    Layout,
)
from data.times import SECONDS, TIME_UNIT

AGE_GROUPS = (1, 18, 25, 35, 45, 50, 56)  # first year of each, as in MovieLens-1M
GENRES_100K = [
    "unknown",
    "Action",
    "Adventure",
    "Animation",
    "Children's",
    "Comedy",
    "Crime",
    "Documentary",
    "Drama",
    "Fantasy",
    "Film-Noir",
    "Horror",
    "Musical",
    "Mystery",
    "Romance",
    "Sci-Fi",
    "Thriller",
    "War",
    "Western",
]
NO_GENRES = "(no genres listed)"
YEAR = r"\((\d{4})\)\s*$"
RATING_FIELDS: dict[str, Kind] = {
    "user": INTEGER_ID,
    "item": INTEGER_ID,
    "rating": NUMBER,
    "time": INTEGER,
}
RATINGS_HEADER, MOVIES_HEADER = "userId,movieId,rating,timestamp", "movieId,title,genres"


@dataclass(frozen=True)
class MovieLensOptions:
    """Options of the source.

    Attributes:
        dataset: One of `DATASETS`.
        source: The unpacked folder, or the zip archive.
        max_bad_lines: Largest share of malformed lines of a file to skip.
    """

    dataset: str
    source: Path
    max_bad_lines: float = 0.0


@dataclass
class _Reader:
    """Reads the source's files and counts the lines skipped."""

    files: SourceFiles
    max_bad_lines: float
    skipped_by_file: dict[str, int] = field(default_factory=dict)

    def table(
        self, name: str, layout: Layout, encoding: str = "utf-8", header: str | None = None
    ) -> pl.DataFrame:
        content = self.files.read(name)
        if header is not None:
            _check_header(content, name, header)
        if encoding != "utf-8":
            content = decode_text(content, name, encoding).encode()
        if layout.shown_separator:
            content = content.replace(layout.shown_separator.encode(), layout.separator.encode())
        frame, skipped = read_delimited(content, name, layout, self.max_bad_lines)
        if skipped:
            self.skipped_by_file[name] = skipped
        return frame


def _check_header(content: bytes, name: str, expected: str) -> None:
    # utf-8-sig: a byte-order mark is no part of the first name.
    found = decode_text(content.partition(b"\n")[0], name, "utf-8-sig").rstrip("\r")
    if found != expected:
        raise InputError(
            "The first line must name the columns as GroupLens does",
            received=f"{found[:SHOWN_CHARACTERS]!r} and not {expected!r}",
            where=f"{name}, line 1",
            action="Take the file as downloaded, or pass --dataset=table for another table",
        )


Tables = tuple[pl.DataFrame, pl.DataFrame | None, pl.DataFrame | None]


def load(options: MovieLensOptions) -> Interactions:
    """Reads ratings, and attributes of users (100K, 1M) and movies.

    Raises:
        InputError: A file that is missing, empty or malformed.
    """
    reader = _Reader(SourceFiles(options.source), options.max_bad_lines)
    events, users, items = DATASETS[options.dataset](reader)
    return Interactions(
        name=options.dataset,
        events=events,
        users=users,
        items=items,
        text_attributes=frozenset({"title"}),
        files=reader.files.sha256,
        skipped_lines=reader.skipped_by_file,
        facts={TIME_UNIT: SECONDS},
    )


def age_group(age: pl.Expr) -> pl.Expr:
    """Returns the first year of the age's group, Int64."""
    group = pl.lit(AGE_GROUPS[0])
    for first in AGE_GROUPS[1:]:
        group = pl.when(age >= first).then(pl.lit(first)).otherwise(group)
    return pl.when(age.is_not_null()).then(group).cast(pl.Int64)


def year_of_title(title: pl.Expr) -> pl.Expr:
    """Returns the year in brackets at the end of a title, Int64, or null."""
    return title.str.extract(YEAR).cast(pl.Int64)


def _read_100k(reader: _Reader) -> Tables:
    events = reader.table("u.data", Layout(RATING_FIELDS, "\t"))
    user_fields: dict[str, Kind] = {
        "user": INTEGER_ID,
        "age": INTEGER,
        "gender": TEXT,
        "occupation": TEXT,
        "zip": IGNORED,
    }
    users = reader.table("u.user", Layout(user_fields, "|"))
    ignored = dict.fromkeys(("release", "video_release", "url"), IGNORED)
    flags = dict.fromkeys(GENRES_100K, INTEGER)
    item_fields: dict[str, Kind] = {"item": INTEGER_ID, "title": TEXT, **ignored, **flags}
    items = reader.table("u.item", Layout(item_fields, "|"), "latin-1")
    genres = pl.concat_list(
        pl.when(pl.col(genre) == 1).then(pl.lit(genre)) for genre in GENRES_100K
    ).list.drop_nulls()
    return (
        events,
        users.with_columns(age=age_group(pl.col("age"))),
        items.select("item", "title", year_of_title(pl.col("title")).alias("year"), genres=genres),
    )


def _read_1m(reader: _Reader) -> Tables:
    events = reader.table("ratings.dat", Layout(RATING_FIELDS, "\t", "::"))
    users = None
    if "users.dat" in reader.files.names():  # MovieLens-10M has none
        fields: dict[str, Kind] = {
            "user": INTEGER_ID,
            "gender": TEXT,
            "age": INTEGER,
            "occupation": INTEGER,
            "zip": IGNORED,
        }
        users = reader.table("users.dat", Layout(fields, "\t", "::"))
    movies = reader.table("movies.dat", Layout(_movie_fields(), "\t", "::"), "latin-1")
    return events, users, _movies(movies)


def _read_csv(reader: _Reader) -> Tables:
    ratings_layout = Layout(RATING_FIELDS, ",", header=True)
    movies_layout = Layout(_movie_fields(), ",", quote='"', header=True)
    events = reader.table("ratings.csv", ratings_layout, header=RATINGS_HEADER)
    movies = reader.table("movies.csv", movies_layout, header=MOVIES_HEADER)
    return events, None, _movies(movies)


def _movie_fields() -> dict[str, Kind]:
    return {"item": INTEGER_ID, "title": TEXT, "genres": OPTIONAL_TEXT}


def _movies(movies: pl.DataFrame) -> pl.DataFrame:
    genres = pl.col("genres").replace(NO_GENRES, None).str.split("|").fill_null([])
    return movies.select(
        "item", "title", year_of_title(pl.col("title")).alias("year"), genres=genres
    )


DATASETS: dict[str, Callable[[_Reader], Tables]] = {
    "movielens_100k": _read_100k,
    "movielens_1m": _read_1m,
    "movielens_20m": _read_csv,
    "movielens_25m": _read_csv,
    "movielens_latest": _read_csv,
}
