"""What `data.inspect` prints and draws: known answers, whatever the order and size of blocks."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from matplotlib.image import imread

from data import row_stream
from data.dataset import PreparedDataset
from data.errors import InputError
from data.inspection.histograms import Histogram, LabelsByTime, align
from data.inspection.measures import area_under_curve, gini, head_share
from data.inspection.moments import Moments
from data.inspection.page import draw_page
from data.inspection.report import report_text
from data.inspection.scan import inspect_dataset
from data.row_stream import sample_rows, stream_rows
from data.times import time_text
from tests.commands import REPOSITORY
from tests.data.look_commands import Outcome, change_schema, run_commands
from tests.data.spec_tables import prepare_frame

FEATURES: dict[str, Any] = {
    "label": {"kind": "label"},
    "price": {"kind": "numeric"},
    "shop": {"kind": "categorical"},
    "tags": {"kind": "multi_hot"},
    "page": {"kind": "categorical", "hash": 10},
    "time": {"kind": "time", "type": "int64"},
}
SECOND = 1_600_000_000  # 2020-09-13


def small_table() -> pl.DataFrame:
    """Returns 8 rows of train, 4 of validation and 2 of test, each share known by heart."""
    shops = ["a", "a", "a", "a", "a", "b", "c", None]  # train: 5, 1, 1 and a missing one
    shops += ["a", "a", "z", None, "z", "z"]
    tags = ["x|y", "x", "x|y|w", "x", "", "", "x", "x", "x|q", "x", "x", "x", "x|q|q|q", "x"]
    return pl.DataFrame(
        {
            "label": [1, 1, 0, 0, 0, 0, 0, 0, 1, 1, 1, 0, 1, 1],
            "price": [1.0, 3.0, 1.0, 3.0, 1.0, 3.0, None, None] + [2.5] * 4 + [3.75] * 2,
            "shop": shops,
            "tags": tags,
            "page": [f"p{n}" for n in range(14)],
            "time": [SECOND + 86_400 * n for n in range(14)],
            "split": ["train"] * 8 + ["validation"] * 4 + ["test"] * 2,
        }
    )


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> PreparedDataset:
    """Returns the small table, prepared."""
    return prepare_frame(small_table(), FEATURES, tmp_path_factory.mktemp("small") / "small")


@pytest.fixture(scope="module")
def lines(small: PreparedDataset) -> dict[str, list[str]]:
    """Returns the cells of each printed line, by the first one."""
    return cells(report_text(inspect_dataset(small), "DATA"))


def cells(text: str) -> dict[str, list[str]]:
    found = (re.split(r"  +", line.strip()) for line in text.splitlines() if line)
    return {first: rest for first, *rest in found}


def test_rows_by_split(lines: dict[str, list[str]]) -> None:
    dates = "first time", "last time"
    assert lines["split"] == ["rows", "share", "label mean", *dates]
    first, last = ("1600000000 (2020-09-13 if seconds)", "1600604800 (2020-09-20 if seconds)")
    assert lines["train"] == ["8", "57.1%", "0.2500", first, last]
    assert lines["validation"][:3] == ["4", "28.6%", "0.7500"]
    assert lines["test"][:3] == ["2", "14.3%", "1.0000"]


def test_numbers(lines: dict[str, list[str]]) -> None:
    # Two missing prices of train are stored as 0: mean 12 / 8, variance 30 / 8 - 1.5 ** 2.
    spread = np.sqrt(30 / 8 - 1.5**2)
    shifts = [f"{(mean - 1.5) / spread:+.3f}" for mean in (2.5, 3.75)]
    assert lines["price"] == ["25.0%", "1.5", f"{spread:.4g}", "0", "3", *shifts]
    assert lines["numbers of rows"][0] == "missing"


def test_ids(lines: dict[str, list[str]]) -> None:
    assert lines["ids of rows"][2:5] == ["unknown train", "unknown validation", "unknown test"]
    # Of ids 5, 1, 1: the absolute differences are 4, 4, 0; of 9 pairs 16 together, mean 7 / 3.
    assert lines["shop"] == ["categorical", "5", "12.50%", "50.00%", "100.00%", "0.381", "71.4%"]
    assert gini(np.array([5, 1, 1])) == pytest.approx(16 / 9 / (2 * 7 / 3))
    # 9 values of train, 5 of validation with one q, 5 of test with three; 2 of 8 lists are empty.
    shares = ["0.00%", "20.00%", "60.00%"]
    assert lines["tags"][:5] == ["multi_hot", "5", *shares]
    assert lines["tags"][-2:] == ["25.00%", "4"]
    assert lines["page"][:2] == ["categorical (hash of 10)", "12"]


def test_notes_name_the_measures(lines: dict[str, list[str]], small: PreparedDataset) -> None:
    text = report_text(inspect_dataset(small), "DATA")
    assert "gini: Gini coefficient" in text
    assert "unknown: share of values with id 1" in text
    assert "upper bound" not in text


def test_missing_share_that_nothing_tells_is_a_bound(
    small: PreparedDataset, tmp_path: Path
) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(small.folder, folder)
    change_schema(folder, lambda schema: schema["provenance"]["options"].update(append="DAY"))
    text = report_text(inspect_dataset(PreparedDataset(folder)), "DATA")
    assert cells(text)["price"][0] == "<= 25.0%"
    change_schema(folder, lambda schema: schema.update(provenance={}, facts={}))
    text = report_text(inspect_dataset(PreparedDataset(folder)), "DATA")
    assert cells(text)["price"][0] == "<= 25.0%"
    assert "the share of values that are the default is an upper bound" in text


def test_histories_and_attributes(checkerboard_data: PreparedDataset) -> None:
    text = report_text(inspect_dataset(checkerboard_data), "DATA")
    histories = [re.split(r"  +", line) for line in text.splitlines() if line.startswith("item ")]
    # 40 users with 20 items each, the last two held out.
    assert ["item", "train", "40", "0.00%", "18.0", "18", "18", "18"] in histories
    assert ["item", "test", "40", "0.00%", "1.0", "1", "1", "1"] in histories
    seen = [re.split(r"  +", line) for line in text.splitlines() if line.startswith("seen_item ")]
    assert [line[:5] for line in seen] == [
        ["seen_item", "train", "40", "100.00%", "0.0"],
        ["seen_item", "validation", "40", "0.00%", "18.0"],
        ["seen_item", "test", "40", "0.00%", "19.0"],
    ]
    assert cells(text)["user"][:2] == ["user", "42"]
    assert cells(text)["user"][5] == "0.000"  # all users have 18 events


def test_attributes_leave_out_the_rows_that_are_nobodys(synthetic_data: PreparedDataset) -> None:
    found = inspect_dataset(synthetic_data)
    assert found.views["items"].rows["all"] == synthetic_data.schema.cardinality("item") - 2
    assert "item" not in found.views["items"].ids


@pytest.mark.parametrize("at_once", [1, 1 << 24])
def test_the_size_of_blocks_changes_nothing(
    at_once: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = 20_000
    rng = np.random.default_rng(0)
    frame = pl.DataFrame(
        {
            "label": rng.integers(0, 2, rows),
            "x": rng.normal(1e6, 1, rows).astype(np.float32),
            "c": [f"c{n}" for n in rng.zipf(1.5, rows) % 500],
            "split": rng.choice(["train", "test"], rows),
        }
    )
    kinds = {"label": "label", "x": "numeric", "c": "categorical"}
    features = {name: {"kind": kind} for name, kind in kinds.items()}
    data = prepare_frame(frame, features, tmp_path / "blocks")
    monkeypatch.setattr(row_stream, "_BYTES_AT_ONCE", at_once)
    view = inspect_dataset(data).views["rows"]
    train = frame.filter(pl.col("split") == "train")
    assert view.rows["train"] == len(train)
    x = train["x"].to_numpy().astype(np.float64)
    moments = view.numbers["x"].moments["train"]
    assert (moments.mean, moments.stddev) == pytest.approx((x.mean(), x.std()), rel=1e-9)
    counts = train.group_by("c").len().sort("len", "c", descending=[True, False])["len"]
    assert view.ids["c"].counts[2:].tolist() == counts.to_list()
    histogram = view.numbers["x"].histogram
    assert histogram is not None
    assert histogram.counts["train"].sum() == len(train)
    assert len(list(stream_rows(data, "rows", "train"))) == (3 if at_once == 1 else 1)


def test_moments_of_parts_are_those_of_the_whole() -> None:
    values = np.random.default_rng(0).normal(1e8, 3, 1_000)
    parts = [Moments.of(part) for part in np.split(values, [0, 1, 500])]
    found = sum(parts, start=Moments())
    assert found.mean == pytest.approx(values.mean(), rel=1e-12)
    assert found.stddev == pytest.approx(values.std(), rel=1e-6)
    assert (found.count, found.minimum, found.maximum) == (1_000, values.min(), values.max())
    spoilt = Moments.of(np.array([1.0, np.nan, 3.0, np.inf]))
    assert (spoilt.count, spoilt.mean, spoilt.maximum) == (2, 2, 3)
    assert Moments().stddev == 0


def test_measures_of_skew() -> None:
    assert gini(np.array([4, 4, 4, 0])) == 0  # ids without values do not count
    assert gini(np.array([1] * 99 + [10**9])) == pytest.approx(0.99, abs=1e-6)
    counts = np.random.default_rng(0).integers(1, 50, 30)
    apart = np.abs(counts[:, None] - counts[None, :]).mean()
    assert gini(counts) == pytest.approx(apart / (2 * counts.mean()))
    assert head_share(np.array([7, 1, 1, 1])) == 0.7  # at least one id
    assert head_share(np.concatenate([[50, 30], np.ones(198)])) == pytest.approx(80 / 278)
    assert np.isnan(gini(np.zeros(3, np.int64)))
    assert np.isnan(head_share(np.zeros(3, np.int64)))


def test_area_under_curve() -> None:
    negatives, positives = np.array([3, 1, 2]), np.array([0, 4, 1])
    low = np.repeat(np.arange(3), negatives)
    high = np.repeat(np.arange(3), positives)
    wins = [1.0 if b > a else 0.5 if a == b else 0.0 for a, b in product(low, high)]
    assert area_under_curve(negatives, positives) == pytest.approx(np.mean(wins))
    assert np.isnan(area_under_curve(np.zeros(3), positives))


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (np.arange(1_000) % 7, "integers"),
        (np.random.default_rng(0).normal(size=5_000), "linear"),
        (np.random.default_rng(0).lognormal(3, 2, 5_000), "logarithmic"),
        (-np.random.default_rng(0).lognormal(3, 2, 5_000), "logarithmic"),
        (np.full(10, 0.5), "linear"),
    ],
)
def test_bars_suit_the_values_and_hold_them_all(values: np.ndarray, kind: str) -> None:
    histogram = Histogram.for_sample(values)
    assert histogram.logarithmic == (kind == "logarithmic")
    assert histogram.of_integers == (kind == "integers")
    assert (np.diff(histogram.edges) > 0).all()
    beyond = np.array([values.min() - 1e6, values.max() + 1e6])
    for part in (values[:30], values[30:], beyond):
        histogram.add("train", part)
    counts = histogram.counts["train"]
    assert counts.sum() == len(values) + 2
    inside = np.histogram(values, histogram.edges)[0]
    assert (counts[1:-1] == inside[1:-1]).all()
    assert min(counts[0], counts[-1]) >= 1
    if kind == "integers":
        assert counts.tolist() == (np.bincount(values) + np.eye(7)[0] + np.eye(7)[6]).tolist()


def test_labels_by_time_merge_to_equal_spans() -> None:
    times = np.random.default_rng(0).permutation(np.arange(-5_000, 100_000, 7))
    labels = (times % 3 == 0).astype(np.float32)
    train, test = LabelsByTime(), LabelsByTime()
    for part in np.array_split(np.arange(len(times)), 9):
        train.add(times[part], labels[part])
    test.add(np.array([200_000]), np.array([1.0]))
    align([train, test])
    assert train.width == test.width == 4_096
    frame = pl.DataFrame({"span": times // 4_096 * 4_096, "label": labels})
    expected = frame.group_by("span").agg(pl.len(), pl.sum("label")).sort("span")
    assert train.starts.tolist() == expected["span"].to_list()
    assert train.rows.tolist() == expected["len"].to_list()
    assert train.labels.tolist() == expected["label"].to_list()
    assert (test.starts.tolist(), test.rows.tolist()) == ([196_608], [1])


def test_times_of_a_known_unit_are_told_in_utc(tmp_path: Path) -> None:
    days = [f"2024-03-{day:02d}T23:30:00-01:00" for day in range(1, 15)]
    table = small_table().with_columns(time=pl.Series(days))
    features = {**FEATURES, "time": {"kind": "time"}}
    found = inspect_dataset(prepare_frame(table, features, tmp_path / "iso"))
    lines = cells(report_text(found, "DATA"))
    assert lines["split"][-2:] == ["first time, UTC", "last time, UTC"]
    assert lines["train"][-2:] == ["2024-03-02 00:30:00", "2024-03-09 00:30:00"]
    (axes,) = (a for a in draw_page(found).axes if "over time" in a.get_title(loc="left"))
    assert axes.get_xlabel() == "time, UTC"
    change_schema(tmp_path / "iso", lambda schema: schema["facts"].update(time_unit="days"))
    unknown = cells(report_text(inspect_dataset(PreparedDataset(tmp_path / "iso")), "DATA"))
    assert unknown["split"][-2:] == ["first time", "last time"]


@pytest.mark.parametrize(
    ("time", "text"),
    [
        (12, "12"),
        (1_600_000_000, "1600000000 (2020-09-13 if seconds)"),
        (1_600_000_000_000, "1600000000000 (2020-09-13 if milliseconds)"),
        (1_600_000_000_000_000, "1600000000000000 (2020-09-13 if microseconds)"),
    ],
)
def test_times_read_as_dates_where_they_look_like_some(time: float, text: str) -> None:
    assert time_text(time) == text


def test_a_sample_is_from_all_over_a_split(synthetic_data: PreparedDataset) -> None:
    users = np.asarray(sample_rows(synthetic_data, "histories", "test")["user"])
    everyone = np.asarray(synthetic_data.read("histories", "test")["user"])
    assert set(users) <= set(everyone)
    assert users.min() == everyone.min()
    assert users.max() == everyone.max()


def titles(data: PreparedDataset) -> list[str]:
    return [axes.get_title(loc="left") for axes in draw_page(inspect_dataset(data)).axes]


def test_the_page_shows_what_there_is(
    small: PreparedDataset, checkerboard_data: PreparedDataset, synthetic_data: PreparedDataset
) -> None:
    ids = ["Frequency of ids in train", "Out of vocabulary or missing"]
    labels = ["Mean of label by split", "Mean of the label over time"]
    assert titles(small) == [*ids, *labels, "Values of tags", "price"]
    assert titles(checkerboard_data) == [*ids, "Items of a user"]
    ratings = ["Mean of rating by split", "Mean of the label over time"]
    assert titles(synthetic_data) == [*ids, *ratings, "Items of a user"]


def test_a_page_of_many_numbers_says_what_it_leaves_out(tmp_path: Path) -> None:
    names = [f"n{n}" for n in range(20)]
    frame = small_table().with_columns(pl.col("price").alias(name) for name in names)
    features = {"label": {"kind": "label"}} | {name: {"kind": "numeric"} for name in names}
    data = prepare_frame(frame, features, tmp_path / "many")
    change_schema(data.folder, lambda schema: schema.update(name="costs $5 and $x_1^$"))
    page = draw_page(inspect_dataset(PreparedDataset(data.folder)))
    assert [axes.get_title(loc="left") for axes in page.axes][1:] == [*names[:16], ""]
    assert "4 more numbers" in page.axes[-1].texts[0].get_text()
    page.savefig(tmp_path / "many.png")  # and the dollars are no formula


@pytest.fixture(scope="module")
def outcomes(
    small: PreparedDataset, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Outcome]:
    """Returns a function that tells what a command left."""
    folder = tmp_path_factory.mktemp("commands")
    shutil.copytree(small.folder, folder / "cut")
    shard = next((folder / "cut" / "rows").glob("test-*"))
    content = bytearray(shard.read_bytes())
    content[-10] ^= 1
    shard.write_bytes(content)
    commands = {
        "good": [str(small.folder), f"--out={folder}/page.png"],
        "unpainted": [str(small.folder)],
        "no_data": ["--out="],
        "absent": [f"{folder}/absent", "--out="],
        "corrupted": [f"{folder}/cut", "--out="],
        "format": [str(small.folder), "--out=page.pdf"],
        "no_folder": [str(small.folder), f"--out={folder}/none/page.png"],
    }
    here = {path.name for path in REPOSITORY.iterdir()}
    left = run_commands("data.inspect", commands)
    assert {path.name for path in REPOSITORY.iterdir()} == here
    assert imread(folder / "page.png").std() > 0.05
    assert [path.name for path in folder.glob("*.png")] == ["page.png"]
    return left.__getitem__


def test_the_command_prints_and_draws(outcomes: Callable[[str], Outcome]) -> None:
    good = outcomes("good")
    assert (good.code, good.err) == (0, "")
    first, *_, last = good.out.splitlines()
    assert re.fullmatch(r"small in .*/small: 14 rows", first)
    assert re.fullmatch(r"Pictures: .*/page\.png", last)
    unpainted = "\n\nPictures: none drawn; --out=FILE.png draws some\n"
    assert outcomes("unpainted").out == good.out.partition("\n\nPictures")[0] + unpainted


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("no_data", "One prepared dataset must be named"),
        ("absent", "A prepared dataset must hold a schema.json"),
        ("corrupted", "Every record must match its checksum"),
        ("format", "--out must be a PNG file in a folder that exists. Received: 'page.pdf'"),
        ("no_folder", "--out must be a PNG file in a folder that exists"),
    ],
)
def test_bad_input_is_explained(
    name: str, message: str, outcomes: Callable[[str], Outcome]
) -> None:
    assert outcomes(name).code == 2
    assert outcomes(name).err.startswith(f"error: {message}")


def test_ids_outside_the_vocabulary_are_bad_input(small: PreparedDataset, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(small.folder, folder)

    def change(schema: dict[str, Any]) -> None:
        (page,) = (f for f in schema["features"] if f["name"] == "page")
        page["cardinality"] = 4

    change_schema(folder, change)
    with pytest.raises(InputError, match="The ids of 'page' must be at least 0 and below its"):
        inspect_dataset(PreparedDataset(folder))
