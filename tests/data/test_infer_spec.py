"""`data.infer_spec`: what it proposes loads, and prepares the file that it was made from."""

from __future__ import annotations

import datetime
import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
import tensorflow as tf

from data.dataset import PreparedDataset
from data.errors import InputError
from data.feature import Kind
from data.spec.table_spec import TableSpec
from tests.data.inferring import infer, of, prepare, why
from tests.data.raw_files import says

REPOSITORY = Path(__file__).parents[2]
ROWS = 300


def left_out(text: str) -> str:
    return " ".join(text.partition("  # Left out:\n")[2].replace("  #", "").split())


def nasty_frame() -> pl.DataFrame:
    """Returns a retail log as people keep it; every value is a text."""
    rng = np.random.default_rng(0)
    n = np.arange(ROWS)
    day = datetime.datetime(2024, 1, 1)
    times = [day + datetime.timedelta(hours=int(h)) for h in rng.permutation(ROWS)]
    prices = np.round(rng.lognormal(3, 1.5, ROWS), 2)
    tags = ["|".join(rng.choice(["new", "sale", "é", "b c"], rng.integers(0, 4), False)) for _ in n]
    return pl.DataFrame(
        {
            "row": [str(i + 1) for i in n],
            "Customer ID": [str(1000 + i % 17) for i in n],
            "sku": [f"Ж-{i % 23:03d}" for i in n],
            "bought_at": [t.isoformat(sep=" ") + ("Z" if t.hour % 2 else "+02:00") for t in times],
            "price €": ["NA" if i % 10 == 3 else "" if i % 10 == 4 else str(prices[i]) for i in n],
            "age": [str(20 + i % 50) for i in n],
            "tags": tags,
            "zip": [f"{i % 40:05d}" for i in n],
            "store_id": [str(i % 5) for i in n],
            "session": [f"{i * 7919:08x}-x" for i in n],
            "campaign": [["a", "b", "?", ""][i % 4] if i % 5 else f"rare {i}" for i in n],
            "on": [["yes", "no"][i % 2] for i in n],
            "weight": [str(i % 90 + 0.5) for i in n],
            "country": ["DE"] * ROWS,
            "nothing": [""] * ROWS,
            "note": [f'said "{i % 9}",\nleft' for i in n],
            "blob": ["x" * 10_000 if i == 7 else "short" for i in n],
            "clicked": [str(int(rng.random() < 0.3)) for i in n],
        }
    )


@pytest.fixture(scope="module")
def nasty(tmp_path_factory: pytest.TempPathFactory) -> tuple[TableSpec, str, PreparedDataset]:
    """Returns the proposal for a nasty table, and what it prepares."""
    source = tmp_path_factory.mktemp("nasty") / "retail log.csv"
    nasty_frame().write_csv(source)
    spec, text = infer(source)
    return spec, text, prepare(spec, source)


def test_every_row_of_a_nasty_table_is_prepared(
    nasty: tuple[TableSpec, str, PreparedDataset],
) -> None:
    _, _, data = nasty
    splits = data.schema.view("rows").splits
    assert sum(split.rows for split in splits.values()) == ROWS
    frame = nasty_frame()
    ages = np.concatenate([np.asarray(data.read("rows", name)["age"]) for name in splits])
    assert sorted(ages.tolist()) == sorted(frame["age"].cast(pl.Float64).to_list())


@pytest.mark.parametrize(
    ("name", "kind", "column", "settings"),
    [
        ("label", Kind.LABEL, "clicked", {"positive": (), "above": None}),
        ("user", Kind.USER, "Customer ID", {"type": "int64"}),
        ("item", Kind.ITEM, "sku", {"type": "string"}),
        ("time", Kind.TIME, "bought_at", {"type": "string"}),
        ("price", Kind.NUMERIC, "price €", {}),
        ("age", Kind.NUMERIC, "age", {"transforms": ()}),
        ("tags", Kind.MULTI_HOT, "tags", {"separator": "|", "hash_buckets": 0}),
        ("zip", Kind.CATEGORICAL, "zip", {"type": "string", "hash_buckets": 0}),
        ("store_id", Kind.CATEGORICAL, "store_id", {"type": "int64"}),
        ("session", Kind.CATEGORICAL, "session", {"hash_buckets": 1000}),
        ("campaign", Kind.CATEGORICAL, "campaign", {"min_count": 2}),
        ("on", Kind.CATEGORICAL, "on", {}),
        ("weight_2", Kind.NUMERIC, "weight", {}),
    ],
)
def test_columns_become_what_they_hold(
    name: str,
    kind: Kind,
    column: str,
    settings: dict[str, object],
    nasty: tuple[TableSpec, str, PreparedDataset],
) -> None:
    feature = of(nasty[0], name)
    assert (feature.kind, feature.column) == (kind, column)
    assert {key: getattr(feature, key) for key in settings} == settings


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("label", ("0 and 1",)),
        ("user", ("by its name", "17 values")),
        ("time", ("ISO 8601", "2024-01-01 00:00:00+02:00 to 2024-01-13")),
        ("price", ("numbers from", "0.2 missing", "as 'NA'", "skewness", "log1p")),
        ("tags", ("'|' between", "4 values", "a row")),
        ("zip", ("texts", "40 values")),
        ("store_id", ("codes", "5 values")),
        ("session", ("300 values", "nearly every value is different, so hashed")),
        ("campaign", ("62 values", "as '?'", "60 are there once, so min_count")),
    ],
)
def test_each_choice_says_why(
    name: str, parts: tuple[str, ...], nasty: tuple[TableSpec, str, PreparedDataset]
) -> None:
    for part in parts:
        assert part in why(nasty[1], name)


def test_what_no_feature_can_hold_is_left_out_with_the_reason(
    nasty: tuple[TableSpec, str, PreparedDataset],
) -> None:
    reasons = left_out(nasty[1])
    for reason in (
        "'row': it numbers the rows",
        "'country': constant: 'DE'",
        "'nothing': no value in any row",
        "'note': values with line breaks",
        "'blob': a value of 10,000 bytes",
    ):
        assert reason in reasons
    columns = {feature.column for feature in nasty[0].features}
    assert columns.isdisjoint({"row", "country", "nothing", "note", "blob"})


def test_source_and_split_of_a_nasty_table(nasty: tuple[TableSpec, str, PreparedDataset]) -> None:
    spec, text, data = nasty
    assert set(spec.source.missing) == {"?", "NA"}
    assert spec.split.method == "time"  # the whole file was read, and it is not in order of time
    assert max(len(line) for line in text.splitlines() if "--source=" not in line) <= 100
    held_out = data.split("rows", "test").rows + data.split("rows", "validation").rows
    assert 0.15 * ROWS <= held_out <= 0.25 * ROWS
    price = data.schema.feature("price")
    assert [t.name for t in price.transforms] == ["log1p", "normalise"]
    assert data.schema.facts["missing_share"]["price"] == pytest.approx(0.2, abs=0.03)


def small_frame() -> pl.DataFrame:
    """Returns 200 rows with types: what the columns mean does not depend on the file's format."""
    n = np.arange(200)
    start = datetime.datetime(2024, 5, 1, tzinfo=datetime.timezone.utc)
    return pl.DataFrame(
        {
            "converted": (n % 3 == 0).astype(np.int64),
            "movieId": n % 11 + 5,
            "amount": np.where(n % 7 == 0, np.nan, n / 8),
            "created": [start + datetime.timedelta(minutes=int(i)) for i in n],
            "genres": [["a", "b c"][: i % 3] for i in n.tolist()],
            "city": [None if i % 9 == 0 else f"c{i % 4}" for i in n.tolist()],
        }
    )


def as_texts(frame: pl.DataFrame) -> pl.DataFrame:
    genres = frame["genres"].list.join("|")
    created = frame["created"].dt.strftime("%Y-%m-%dT%H:%M:%SZ")
    return frame.with_columns(genres, created)


def write_gzip(path: Path) -> None:
    path.write_bytes(gzip.compress(as_texts(small_frame()).write_csv().encode()))


def write_zstd(path: Path) -> None:
    content = as_texts(small_frame()).write_csv(separator="\t").encode()
    path.write_bytes(pa.compress(content, codec="zstd", asbytes=True))


def write_records(path: Path) -> None:
    with tf.io.TFRecordWriter(str(path)) as writer:
        for row in small_frame().iter_rows(named=True):
            texts = {
                "created": [row["created"].isoformat().encode()],
                "genres": [genre.encode() for genre in row["genres"]],
                "city": [row["city"].encode()] if row["city"] else [],
            }
            values: dict[str, tf.train.Feature] = {
                name: tf.train.Feature(bytes_list=tf.train.BytesList(value=value))
                for name, value in texts.items()
                if value
            }
            for name in ("converted", "movieId"):
                value = tf.train.Int64List(value=[row[name]])
                values[name] = tf.train.Feature(int64_list=value)
            amount = tf.train.FloatList(value=[row["amount"]])
            values["amount"] = tf.train.Feature(float_list=amount)
            example = tf.train.Example(features=tf.train.Features(feature=values))
            writer.write(example.SerializeToString())


@pytest.mark.parametrize(
    ("file", "write"),
    [
        ("t.csv.gz", write_gzip),
        ("t.tsv.zst", write_zstd),
        ("t.parquet", lambda path: small_frame().write_parquet(path)),
        ("t.tfrecord", write_records),
    ],
)
def test_proposal_is_the_same_for_every_format(
    file: str, write: Callable[[Path], None], tmp_path: Path
) -> None:
    write(tmp_path / file)
    spec, text = infer(tmp_path / file)
    kinds = {feature.name: (feature.kind.value, feature.type) for feature in spec.features}
    assert kinds == {
        "label": ("label", "string"),
        "item": ("item", "int64"),
        "amount": ("numeric", "string"),
        "time": ("time", "string"),
        "genres": ("multi_hot", "string"),
        "city": ("categorical", "string"),
    }
    assert "as 'NaN'" in why(text, "amount")
    assert spec.split.method == "position"  # the rows are in the order of time
    data = prepare(spec, tmp_path / file)
    assert [data.split("rows", name).rows for name in ("train", "test")] == [160, 20]
    assert sorted(data.raw_ids("genres")) == ["a", "b c"]
    assert data.schema.facts["missing_share"]["amount"] == pytest.approx(23 / 160)


def test_first_rows_are_enough(tmp_path: Path) -> None:
    source = tmp_path / "a.csv"
    nasty_frame().write_csv(source)
    spec, text = infer(source, rows=100)
    assert "the first 100 rows of a.csv" in text
    assert spec.split.method == "hash"  # of the times of the other rows nothing is known
    assert "better by time" in text


SALES = "order,customer_id,sku,bought_at,price\n"


def test_interactions_are_proposed_without_a_label(tmp_path: Path) -> None:
    rows = [
        f"{100 + n},{n % 5},b{n % 7},2024-0{1 + n % 9}-0{1 + n % 8},{n / 2}\n" for n in range(60)
    ]
    source = tmp_path / "sales.csv"
    source.write_text(SALES + "".join(rows))
    spec, text = infer(source, interactions=True)
    kinds = {feature.name: (feature.kind.value, feature.column) for feature in spec.features}
    assert kinds == {
        "user": ("user", "customer_id"),
        "item": ("item", "sku"),
        "time": ("time", "bought_at"),
    }
    assert spec.split.method == "leave_last_out"
    assert spec.interactions.duplicates == "keep_last"
    assert "50 rows hold an item that the same user has in another row" in text
    assert "neither user, item nor time" in text
    data = prepare(spec, source)
    assert data.split("histories", "test").rows == 5


def german_orders(path: Path) -> Path:
    """Writes orders under German names, with a customer and three times that are none."""
    lines = [f"k{n % 5};a{n % 7};{n};2024-0{1 + n % 9}-0{1 + n % 8} 10:00" for n in range(60)]
    lines[7] = ";a1;1;2024-02-01"
    lines[20:23] = [f"k{n};a{n};1;gestern" for n in range(3)]
    path.write_text("\n".join(["kunde;artikel;menge;bestellt_am", *lines]) + "\n")
    return path


def test_keys_that_names_do_not_tell_can_be_given(tmp_path: Path) -> None:
    source = german_orders(tmp_path / "orders.csv")
    keys = {Kind.USER: "kunde", Kind.ITEM: "artikel", Kind.TIME: "bestellt_am"}
    spec, text = infer(source, interactions=True, keys=keys)
    assert [(f.kind, f.column) for f in spec.features] == list(keys.items())
    assert spec.source.separator == ";"
    assert spec.split.method == "leave_last_out"
    assert "as given; 5 values" in why(text, "user")
    assert "1 rows lack it and are refused: correct them, or --max_bad_lines" in why(text, "user")
    span = "2024-01-01 10:00 to 2024-09-06 10:00; 3 rows lack it and are refused"
    assert span in why(text, "time")
    _, without = infer(source, interactions=True, keys={**keys, Kind.TIME: "menge"})
    assert "integers: 0 to 59" in why(without, "time")


@pytest.mark.parametrize(
    ("keys", "parts"),
    [
        ({}, ("a column of users and one of items", "users or items are: 'kunde', 'artikel'")),
        ({}, ("--user_column=COLUMN and --item_column=COLUMN", "--time_column=COLUMN")),
        ({Kind.USER: "kunde"}, ("items are", "Pass --item_column=COLUMN, and")),
        ({Kind.USER: "kunden"}, ("--user_column must name", "'kunden'", "mean 'kunde'?")),
        ({Kind.USER: "kunde", Kind.ITEM: "kunde"}, ("--user_column", "another flag's, too")),
        ({Kind.TIME: "artikel"}, ("--time_column", "'artikel': mostly neither integers nor ISO")),
    ],
)
def test_keys_that_are_missing_or_cannot_be(
    keys: dict[Kind, str], parts: tuple[str, ...], tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=says(*parts)):
        infer(german_orders(tmp_path / "orders.csv"), interactions=True, keys=keys)
