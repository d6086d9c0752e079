"""What must hold of every table, however its rows, columns and files are laid out."""

from __future__ import annotations

import gzip
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from data.blocks import Ragged
from data.dataset import PreparedDataset
from data.engine.engines import LocalEngine
from data.engine.prepare_table import prepare_table
from data.engine.stages import TableOptions
from data.hashing import hashed_ids
from data.schema import OOV_ID
from data.spec.parsing import parse_spec

FEATURES: dict[str, Any] = {
    "label": {"kind": "label"},
    "number": {"kind": "numeric", "missing": -1.5},
    "code": {"kind": "categorical", "type": "int64"},
    "word": {"kind": "categorical"},
    "tags": {"kind": "multi_hot", "separator": ";"},
    "hashed": {"kind": "categorical", "hash": 7},
    "time": {"kind": "time", "type": "int64"},
}
SPLITS = ("train", "validation", "test")
BY_COLUMN = {"method": "column", "column": "part"}
BY_HASH = {"method": "hash", "of": ["row"], "validation": 0.3, "test": 0.3, "seed": 5}

# Quotes, separators, line ends of other systems and digits: all that a word may hold.
LETTERS = st.sampled_from(list("aAb1 .,\"'|\tßй日🛒\u2028\u0301-_#"))
WORDS = st.text(LETTERS, max_size=6)
NUMBERS = st.floats(width=32, allow_nan=False, allow_infinity=False)
INTEGERS = st.one_of(st.integers(-3, 3), st.integers(-(2**63), 2**63 - 1))
ROW = st.tuples(
    st.sampled_from([0, 1]),
    st.none() | NUMBERS,
    st.none() | INTEGERS,
    WORDS,
    st.lists(st.text(LETTERS, min_size=1, max_size=3), max_size=3),
    WORDS,
    st.integers(-(2**63), 2**63 - 1),
    st.sampled_from(SPLITS),
)


@st.composite
def tables(draw: st.DrawFn) -> pl.DataFrame:
    """Draws a table, in which each split has both labels; `row` numbers its rows."""
    rows = draw(st.lists(ROW, min_size=1, max_size=25))
    for part in SPLITS:
        rows += [(label, 0.5, 1, "a", ["b"], "c", 9, part) for label in (0, 1)]
    names = ["label", "number", "code", "word", "tags", "hashed", "time", "part"]
    types: dict[str, Any] = {
        "number": pl.Float32,
        "code": pl.Int64,
        "tags": pl.List(pl.String),
        "time": pl.Int64,
    }
    frame = pl.DataFrame(rows, schema=names, schema_overrides=types, orient="row")
    return frame.with_row_index("row").sample(fraction=1, shuffle=True, seed=len(rows))


def prepared(
    source: Path, split: dict[str, Any], part_bytes: int = 1 << 20, workers: int = 1
) -> PreparedDataset:
    spec = parse_spec({"features": FEATURES, "split": split}, "features.yaml")
    out = source.parent / f"out-{len(list(source.parent.iterdir()))}"
    options = TableOptions(part_bytes=part_bytes)
    prepare_table(spec, str(source), options, out, LocalEngine(workers))
    return PreparedDataset(out)


def as_texts(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.with_columns(pl.col("tags").list.join(";"))


def write_csv(frame: pl.DataFrame, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    as_texts(frame).write_csv(path)
    return path


def decoded(data: PreparedDataset, split: str) -> Counter[tuple[Any, ...]]:
    """Returns the rows of a split as they were in the source, but for what has no vocabulary."""
    if split not in data.schema.view("rows").splits:
        return Counter()
    columns = data.read("rows", split)
    known = {name: [None, *data.raw_ids(name).tolist()] for name in ("code", "word", "tags")}

    def raw(name: str, ids: Any) -> list[Any]:
        return [known[name][max(0, int(i) - OOV_ID)] for i in ids]

    tags = columns["tags"]
    assert isinstance(tags, Ragged)
    ends = np.cumsum(tags.lengths)
    listed = [tuple(raw("tags", part)) for part in np.split(tags.values, ends[:-1])]
    plain = {n: np.asarray(columns[n]).tolist() for n in ("label", "number", "hashed", "time")}
    words = raw("word", np.asarray(columns["word"]))
    codes = raw("code", np.asarray(columns["code"]))
    rows = zip(
        plain["label"],
        plain["number"],
        codes,
        words,
        listed,
        plain["hashed"],
        plain["time"],
        strict=True,
    )
    return Counter(rows)


def expected(frame: pl.DataFrame, split: str) -> Counter[tuple[Any, ...]]:
    """Returns the same from the table: what train never saw is None."""
    train = frame.filter(pl.col("part") == "train")
    words, codes = set(train["word"]) - {""}, set(train["code"]) - {None}
    tags = {tag for row in train["tags"] for tag in row}
    rows = []
    for row in frame.filter(pl.col("part") == split).iter_rows(named=True):
        rows.append(
            (
                float(row["label"]),
                -1.5 if row["number"] is None else row["number"],
                row["code"] if row["code"] in codes else None,
                row["word"] if row["word"] in words else None,
                tuple(tag if tag in tags else None for tag in row["tags"]),
                int(hashed_ids(row["hashed"], 7)),
                row["time"],
            )
        )
    return Counter(rows)


def vocabularies(data: PreparedDataset) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((data.folder / "vocab").iterdir())}


def same_rows(one: PreparedDataset, other: PreparedDataset) -> bool:
    return all(decoded(one, split) == decoded(other, split) for split in SPLITS)


def checks(examples: int) -> Any:
    return settings(
        max_examples=examples,
        deadline=None,
        derandomize=True,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )


@checks(25)
@given(tables())
def test_what_goes_in_comes_out(frame: pl.DataFrame) -> None:
    with tempfile.TemporaryDirectory() as folder:
        data = prepared(write_csv(frame, Path(folder) / "t.csv"), BY_COLUMN)
        for split in SPLITS:
            assert decoded(data, split) == expected(frame, split)
        train = frame.filter(pl.col("part") == "train")
        counts = Counter(word for word in train["word"] if word)
        order = sorted(counts, key=lambda word: (-counts[word], word.encode()))
        assert data.raw_ids("word").tolist() == order


@checks(8)
@given(tables(), st.randoms(use_true_random=False))
def test_order_of_rows_columns_and_files_changes_no_vocabulary(
    frame: pl.DataFrame, random: Any
) -> None:
    columns = list(frame.columns)
    random.shuffle(columns)
    shuffled = frame.sample(fraction=1, shuffle=True, seed=random.randrange(2**32))[columns]
    cut = random.randrange(1, len(frame))
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "t" / "t.csv"
        first = prepared(write_csv(frame, source), BY_COLUMN)
        pieces = Path(folder) / "pieces" / "parts"
        write_csv(shuffled[cut:], pieces / "a.csv")
        write_csv(shuffled[:cut], pieces / "b.csv")
        second = prepared(pieces, BY_COLUMN)
        assert vocabularies(first) == vocabularies(second)
        assert same_rows(first, second)
        one, other = (data.schema.feature("number").statistics for data in (first, second))
        assert one is not None
        assert other is not None
        assert (one.minimum, one.maximum, one.quantiles) == (
            other.minimum,
            other.maximum,
            other.quantiles,
        )


@checks(8)
@given(tables(), st.integers(100, 2_000), st.integers(1, 3))
def test_size_of_parts_and_number_of_threads_change_nothing(
    frame: pl.DataFrame, part_bytes: int, workers: int
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        source = write_csv(frame, Path(folder) / "t" / "t.csv")
        whole = prepared(source, BY_COLUMN)
        parts = prepared(source, BY_COLUMN, part_bytes, workers)
        assert vocabularies(whole) == vocabularies(parts)
        assert same_rows(whole, parts)
        assert whole.schema.features[0] == parts.schema.features[0]


@checks(5)
@given(tables())
def test_packing_and_format_change_nothing(frame: pl.DataFrame) -> None:
    with tempfile.TemporaryDirectory() as folder:
        text = write_csv(frame, Path(folder) / "csv" / "t.csv")
        content = text.read_bytes()
        sources = {name: Path(folder) / name / f"t.{name}" for name in ("parquet", "csv.gz")}
        sources["csv.zst"] = Path(folder) / "zst" / "t.csv.zst"
        for source in sources.values():
            source.parent.mkdir()
        frame.write_parquet(sources["parquet"])
        sources["csv.gz"].write_bytes(gzip.compress(content))
        sources["csv.zst"].write_bytes(pa.compress(content, codec="zstd", asbytes=True))
        plain = prepared(text, BY_COLUMN)
        for source in sources.values():
            other = prepared(source, BY_COLUMN)
            assert vocabularies(plain) == vocabularies(other)
            assert same_rows(plain, other)
            assert plain.schema.features == other.schema.features


@checks(8)
@given(tables(), st.data())
def test_split_by_hash_depends_on_the_row_alone(frame: pl.DataFrame, data: st.DataObject) -> None:
    many = pl.concat([frame] * 4).with_columns(pl.int_range(pl.len()).alias("time"))
    many = many.with_columns(row=pl.col("time") % 17)
    kept = data.draw(st.integers(len(many) // 2, len(many)))
    with tempfile.TemporaryDirectory() as folder:
        whole = prepared(write_csv(many, Path(folder) / "whole" / "t.csv"), BY_HASH)
        some = many.sample(fraction=1, shuffle=True, seed=kept)[:kept]
        part = prepared(write_csv(some, Path(folder) / "some" / "t.csv"), BY_HASH, 500)
        found = [_split_of_time(dataset) for dataset in (whole, part)]
        assert len(found[0]) == len(many)
        assert found[1].items() <= found[0].items()
        assert sorted(found[1]) == sorted(some["time"].to_list())
        by_key = {(time % 17, split) for time, split in found[0].items()}
        assert len(by_key) == 17  # rows that are equal in `of` land in one split


def _split_of_time(data: PreparedDataset) -> dict[int, str]:
    return {
        int(time): split
        for split in data.schema.view("rows").splits
        for time in np.asarray(data.read("rows", split)["time"])
    }
