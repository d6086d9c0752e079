"""Tables that are split or told by user: leave-last-out, histories, tables of users and items."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from data.assemble import PrepareOptions, prepare
from data.blocks import Ragged
from data.candidates import candidates_sha256
from data.dataset import PreparedDataset
from data.engine import regrouping
from data.engine.engines import LocalEngine
from data.engine.prepare_table import prepare_table
from data.engine.stages import TableOptions
from data.errors import InputError
from data.filters import FilterOptions
from data.interactions import Interactions
from data.schema import FIRST_ID
from data.spec.parsing import parse_spec
from data.summary import summary
from data.vocabulary import Vocabulary
from tests.data.raw_files import says

FEATURES: dict[str, Any] = {
    "user": {"kind": "user"},
    "item": {"kind": "item", "type": "int64"},
    "time": {"kind": "time", "type": "int64"},
}
LAST_OUT = {"method": "leave_last_out"}
SPLITS = ("train", "validation", "test")


def events(rows: int = 600, users: int = 40, seed: int = 0) -> pl.DataFrame:
    """Returns events with ties in time, items that come twice, and users of one event."""
    rng = np.random.default_rng(seed)
    user = [*rng.integers(0, users, rows), users, users + 1, users + 1]
    return pl.DataFrame(
        {
            "user": [f"ü{n}" for n in user],
            "item": rng.integers(0, 50, len(user)) ** 2,
            "time": rng.integers(0, 30, len(user)),
        }
    )


def prepared(
    frame: pl.DataFrame, out: Path, *, part_bytes: int = 1 << 20, **parts: Any
) -> PreparedDataset:
    source = out.with_suffix(".csv")
    frame.write_csv(source)
    body = {"features": FEATURES, "split": LAST_OUT, **parts}
    prepare_table(
        parse_spec(body, "features.yaml"),
        str(source),
        TableOptions(part_bytes=part_bytes),
        out,
        LocalEngine(2),
    )
    return PreparedDataset(out)


def kept_all(**more: Any) -> dict[str, Any]:
    return {"interactions": {"duplicates": "keep_all", "negatives": 10, **more}}


def by_user(data: PreparedDataset, split: str, column: str) -> dict[str, list[int]]:
    """Returns a list of each user's history, by raw id; users that train lacks share a name."""
    stored = data.read("histories", split)
    users, lists = stored["user"], stored[column]
    assert isinstance(users, np.ndarray)
    assert isinstance(lists, Ragged)
    names = ["", "unknown", *data.raw_ids("user")]
    parts = np.split(lists.values, lists.offsets()[1:-1])
    return {names[u]: part.tolist() for u, part in zip(users, parts, strict=True)}


def raw_pairs(data: PreparedDataset, split: str) -> set[tuple[str, int]]:
    """Returns the users and items of a split by raw id; those that train lacks are left out."""
    items = dict(enumerate(data.raw_ids("item").tolist(), FIRST_ID))
    users = by_user(data, split, "item").items()
    return {(user, items[item]) for user, listed in users for item in listed if item in items}


def rows_of(data: PreparedDataset, split: str) -> list[tuple[int, ...]]:
    columns = [np.asarray(data.read("rows", split)[name]) for name in FEATURES]
    return sorted(zip(*(column.tolist() for column in columns), strict=True))


def test_it_is_what_the_preparation_in_memory_writes(tmp_path: Path) -> None:
    frame = events()
    ours = prepared(frame, tmp_path / "ours", **kept_all())
    options = PrepareOptions(FilterOptions("keep_all"), negatives=10)
    prepare(Interactions("memory", frame), options, tmp_path / "theirs")
    theirs = PreparedDataset(tmp_path / "theirs")
    for name in ("user", "item"):
        assert ours.raw_ids(name).tolist() == theirs.raw_ids(name).tolist()
    for split in SPLITS:
        assert rows_of(ours, split) == rows_of(theirs, split)
        for column in ("item", "time", "seen_item"):
            assert by_user(ours, split, column) == by_user(theirs, split, column)


@pytest.mark.parametrize(("rows", "part_bytes"), [(1 << 20, 200), (100, 1 << 20), (7, 300)])
def test_neither_groups_nor_parts_change_what_is_written(
    rows: int, part_bytes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame = events()
    whole = prepared(frame, tmp_path / "whole", **kept_all())
    monkeypatch.setattr(regrouping, "_GROUP_ROWS", rows)
    cut = prepared(frame, tmp_path / "cut", part_bytes=part_bytes, **kept_all())
    assert (len(cut.paths("histories", "test")) > 1) == (rows < 1000)
    for split in SPLITS:
        assert rows_of(whole, split) == rows_of(cut, split)
        for column in ("item", "time", "seen_item"):
            assert by_user(whole, split, column) == by_user(cut, split, column)


def test_candidates_are_untouched_items_and_recorded(tmp_path: Path) -> None:
    data = prepared(events(), tmp_path / "data", **kept_all(popular_negatives=5))
    touched: dict[str, set[int]] = {}
    for split in SPLITS:
        for user, items in by_user(data, split, "item").items():
            touched.setdefault(user, set()).update(items)
    vocabularies = [
        Vocabulary(pl.Series(data.raw_ids(name).tolist()), np.zeros(0)) for name in ("user", "item")
    ]
    for column, suffix, count in (("negative_item", "", 10), ("popular_item", "/popular", 5)):
        for user, items in by_user(data, "test", column).items():
            assert len(set(items)) == count
            assert not set(items) & touched[user]
        stored = data.read("histories", "test")
        users, lists = stored["user"], stored[column]
        assert isinstance(users, np.ndarray)
        assert isinstance(lists, Ragged)
        card = data.schema.candidates[f"test{suffix}"]
        assert card.negatives == count
        assert card.sha256 == candidates_sha256([(users, lists)], *vocabularies)


def test_popular_candidates_come_by_their_rows_in_train(tmp_path: Path) -> None:
    users, items = 300, 40
    rng = np.random.default_rng(1)
    weights = np.where(np.arange(items) < 20, 20.0, 1.0)
    chosen = rng.choice(items, users * 4, p=weights / weights.sum())
    frame = pl.DataFrame(
        {"user": np.repeat(np.arange(users), 4), "item": chosen, "time": np.tile(range(4), users)}
    )
    data = prepared(frame, tmp_path / "data", **kept_all(negatives=3, popular_negatives=3))
    stored, raw = data.read("histories", "test"), data.raw_ids("item")
    share = {}
    for column in ("negative_item", "popular_item"):
        lists = stored[column]
        assert isinstance(lists, Ragged)
        share[column] = float((raw[lists.values - 2] < 20).mean())
    assert share["negative_item"] < 0.55
    assert share["popular_item"] > 0.85


def test_clicks_hold_out_each_users_last_ones(tmp_path: Path) -> None:
    frame = pl.DataFrame(
        {
            "user": ["a", "b", "a", "a", "b", "c", "c", "c", "a"],
            "time": [4, 9, 1, 3, 8, 5, 5, 5, 2],
            "row": range(9),
            "label": [1, 0, 1, 0, 1, 0, 1, 0, 1],
        }
    )
    features = {
        "label": {"kind": "label"},
        "user": {"kind": "user"},
        "time": {"kind": "time", "type": "int64"},
        "row": {"kind": "numeric"},
    }
    data = prepared(frame, tmp_path / "data", features=features)
    found = {s: sorted(np.asarray(data.read("rows", s)["row"]).tolist()) for s in SPLITS}
    # a by time: 2, 8, 3, 0; b has two; c's tie keeps the order of the source: 5, 6, 7.
    assert found == {"train": [1, 2, 4, 5, 8], "validation": [3, 6], "test": [0, 7]}
    assert list(data.schema.views) == ["rows"]


def test_other_splits_have_histories_too(tmp_path: Path) -> None:
    split = {"method": "time", "column": "time", "validation_from": "20", "test_from": "25"}
    frame = events()
    data = prepared(frame, tmp_path / "data", split=split, **kept_all())
    late = frame.filter(pl.col("time") >= 25)
    stored = data.read("histories", "test")["item"]
    assert isinstance(stored, Ragged)
    assert len(stored) == late["user"].n_unique()
    assert stored.lengths.sum() == len(late)
    seen = by_user(data, "test", "seen_item")["ü3"]
    assert len(seen) == len(frame.filter(pl.col("user") == "ü3", pl.col("time") < 25))


@pytest.mark.parametrize(("policy", "expected"), [("keep_first", [1, 2]), ("keep_last", [2, 3])])
def test_duplicates_are_kept_once(policy: str, expected: list[int], tmp_path: Path) -> None:
    more = events().with_columns(pl.col("user") + "x").unique(["user", "item"], maintain_order=True)
    twice = pl.DataFrame({"user": ["a"] * 3, "item": [7, 8, 7], "time": [1, 2, 3]})
    interactions = {"duplicates": policy, "negatives": 5}
    data = prepared(pl.concat([more, twice]), tmp_path / "data", interactions=interactions)
    times = by_user(data, "train", "time")["a"]
    assert times == expected


def test_both_preparations_tell_how_many_duplicates_were_dropped_and_by_which_rule(
    tmp_path: Path,
) -> None:
    frame = events()
    rule = {"duplicates": "keep_last", "negatives": 5}
    by_spec = prepared(frame, tmp_path / "spec", interactions=rule).schema
    options = PrepareOptions(FilterOptions("keep_last"), negatives=5)
    in_memory = prepare(Interactions("memory", frame), options, tmp_path / "memory")
    repeats = len(frame) - frame.select("user", "item").n_unique()
    assert repeats > 20
    for schema, name in ((by_spec, "spec"), (in_memory, "memory")):
        printed = summary(schema, tmp_path / name, 1.0)
        assert f"\n  together: {len(frame) - repeats} interactions\n" in printed
        assert f"\n  duplicates: {repeats} dropped by keep_last\n" in printed


def test_new_orders_move_pairs_from_train_to_test_where_the_last_is_kept(tmp_path: Path) -> None:
    old = events(rows=400)
    new = events(rows=60, seed=1).with_columns(pl.col("time") + 100)
    moved = {}
    for rule in ("keep_first", "keep_last"):
        interactions: dict[str, Any] = {"duplicates": rule, "negatives": 5}
        before = prepared(old, tmp_path / f"before-{rule}", interactions=interactions)
        both = pl.concat([old, new])
        after = prepared(both, tmp_path / f"after-{rule}", interactions=interactions)
        moved[rule] = len(raw_pairs(before, "train") & raw_pairs(after, "test"))
    assert moved["keep_first"] == 0
    assert moved["keep_last"] > 0


def test_a_repeated_item_is_refused_and_named(tmp_path: Path) -> None:
    once = events().unique(["user", "item"], maintain_order=True)
    twice = pl.DataFrame({"user": ["ö"] * 3, "item": [9, 4, 9], "time": [1, 2, 3]})
    with pytest.raises(InputError, match=says("only once", "user 'ö' with item 9, 2 times")):
        prepared(pl.concat([once, twice]), tmp_path / "data")
    assert not (tmp_path / "data").exists()


def test_an_interrupted_regrouping_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frame = events()
    monkeypatch.setattr(regrouping, "_GROUP_ROWS", 100)
    original, made = regrouping.part_of_values, []

    def failing(*arguments: Any) -> Any:
        made.append(1)
        if len(made) == 4:
            raise OSError("the power went")
        return original(*arguments)

    monkeypatch.setattr(regrouping, "part_of_values", failing)
    with pytest.raises(OSError, match="the power went"):
        prepared(frame, tmp_path / "data", **kept_all())
    (work,) = tmp_path.glob(".data.work-*")
    before = {path.name: path.stat().st_mtime_ns for path in work.glob("users-*.arrow")}
    assert before
    assert len(before) < 7
    again: list[int] = []

    def counting(*arguments: Any) -> Any:
        again.append(1)
        return original(*arguments)

    monkeypatch.setattr(regrouping, "part_of_values", counting)
    source = tmp_path / "data.csv"
    body = {"features": FEATURES, "split": LAST_OUT, **kept_all()}
    spec = parse_spec(body, "features.yaml")
    options = TableOptions(part_bytes=1 << 20)
    prepare_table(spec, str(source), options, tmp_path / "data", LocalEngine(2))
    assert len(again) == 7 - len(before)


BOOKS = "item,pages,tags,title\n1,100,a|b,Öne\n4,,b,Two\n9,300,,\n"


def with_items(tmp_path: Path, books: str = BOOKS, **table: Any) -> PreparedDataset:
    folder = tmp_path / "source"
    folder.mkdir(exist_ok=True)
    rng = np.random.default_rng(0)
    users = [f"u{n}" for n in range(9)]
    rows = [(u, int(i) ** 2, t) for u in users for t, i in enumerate(rng.permutation([1, 2, 3, 4]))]
    pl.DataFrame(rows, ["user", "item", "time"], orient="row").write_csv(folder / "log.csv")
    (folder / "books.csv").write_text(books)
    features = {
        "pages": {"kind": "numeric"},
        "tags": {"kind": "multi_hot"},
        "title": {"kind": "text"},
    }
    body = {
        "source": {"files": ["log.csv"]},
        "features": FEATURES,
        "split": LAST_OUT,
        "items": {"source": {"files": ["books.csv"]}, "features": features, **table},
    }
    spec = parse_spec(body, "features.yaml")
    prepare_table(spec, str(folder), TableOptions(), tmp_path / "out", LocalEngine(1))
    return PreparedDataset(tmp_path / "out")


def test_tables_of_items_are_views_by_id(tmp_path: Path) -> None:
    data = with_items(tmp_path)
    stored = data.read("items", "all")
    raw = data.raw_ids("item").tolist()
    pages, tags, titles = (stored[name] for name in ("pages", "tags", "title"))
    assert isinstance(pages, np.ndarray)
    assert isinstance(titles, np.ndarray)
    assert isinstance(tags, Ragged)
    assert set(raw) == {1, 4, 9, 16}
    assert pages[2 + raw.index(1)] == 100
    assert pages[2 + raw.index(4)] == 200  # the mean of the known ones
    lists = [part.tolist() for part in np.split(tags.values, tags.offsets()[1:-1])]
    names = ["", "", *data.raw_ids("tags")]
    assert [names[n] for n in lists[2 + raw.index(1)]] == ["a", "b"]
    assert lists[2 + raw.index(9)] == lists[2 + raw.index(16)] == []
    assert ["", None, *data.raw_ids("title")][titles[2 + raw.index(1)]] == "Öne"
    assert set(data.schema.provenance["files"]) == {"log.csv", "books.csv"}


def test_a_faulty_table_of_items_is_refused_with_its_place(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=says("list each item once", "item 4 more than once")):
        with_items(tmp_path, BOOKS + "4,1,,\n")
    with pytest.raises(InputError, match=says("'pages': 'many'", "books.csv, line 2")):
        with_items(tmp_path, BOOKS.replace("100", "many"))
    with pytest.raises(InputError, match=says("'; item is empty", "books.csv, line 3")):
        with_items(tmp_path, BOOKS.replace("4,,b", ",,b"))
    with pytest.raises(InputError, match=says("each table name its files")):
        with_items(tmp_path, source={})
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"features": {**FEATURES, "price": {"kind": "numeric"}}}, "no label, but price"),
        ({"features": {k: FEATURES[k] for k in ("user", "time")}}, "no label, no item"),
        ({"features": {k: FEATURES[k] for k in ("user", "item")}}, "feature of kind time"),
        ({"interactions": {"duplicates": "never"}}, "'error' or 'keep_first'"),
        ({"users": {"features": {}}}, "must have features beside the id"),
        ({"users": {"features": {"a": {"kind": "time"}}}}, "must be of kind categorical"),
        ({"users": {"features": {"a": {"kind": "numeric", "missing": 3}}}}, "not have `missing`"),
        (
            {"items": {"features": {"a": {"kind": "numeric", "transforms": ["log1p"]}}}},
            "kind numeric must not have `transforms`. Received: [log1p]. At:",
        ),
        ({"users": {"features": {"item": {"kind": "numeric"}}}}, "not reserved"),
        ({"users": {"colour": 1}}, "Received: 'colour'"),
    ],
)
def test_what_does_not_go_together(change: dict[str, Any], message: str) -> None:
    body = {"features": FEATURES, "split": LAST_OUT, **change}
    with pytest.raises(InputError, match=says(message)):
        parse_spec(body, "features.yaml")


def test_interactions_and_a_label_do_not_go_together() -> None:
    body = {"features": {**FEATURES, "label": {"kind": "label"}}, "interactions": {"negatives": 5}}
    with pytest.raises(InputError, match="says what is done with rows without a label"):
        parse_spec(body, "features.yaml")


def test_rows_of_no_user_and_users_of_two_rows_are_refused(tmp_path: Path) -> None:
    frame = pl.DataFrame({"user": ["a", "a", "b"], "item": [1, 2, 1], "time": [1, 2, 3]})
    with pytest.raises(InputError, match=says("rows to hold out", "users of 3 rows")):
        prepared(frame, tmp_path / "data")
    with pytest.raises(InputError, match=says("'; user is empty", "data.csv, line 3")):
        prepared(frame.with_columns(user=pl.Series(["a", "", "b"])), tmp_path / "data")


@pytest.mark.parametrize(
    ("labelled", "beside", "parts"),
    [
        (False, False, ("have a label", "interactions", "old and new", "--warm_start")),
        (False, True, ("have a label", "interactions", "docs/retrain.md#prepare")),
        (True, True, ("no table of users or items", "Received: items")),
    ],
)
def test_what_rows_are_not_added_to(
    labelled: bool, beside: bool, parts: tuple[str, ...], tmp_path: Path
) -> None:
    data = with_items(tmp_path)
    label = {"label": {"kind": "label", "column": "time"}} if labelled else {}
    features = {"user": FEATURES["user"], "item": FEATURES["item"], **label}
    items = {"source": {"files": ["books.csv"]}, "features": {"pages": {"kind": "numeric"}}}
    body = {"source": {"files": ["log.csv"]}, "features": features}
    spec = parse_spec({**body, **({"items": items} if beside else {})}, "features.yaml")
    options, source = TableOptions(append=str(data.folder)), str(tmp_path / "source")
    with pytest.raises(InputError, match=says("Rows can be added", *parts)):
        prepare_table(spec, source, options, tmp_path / "more", LocalEngine(1))
