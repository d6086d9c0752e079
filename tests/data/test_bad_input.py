"""Bad sources and options: one message with the rule, what came instead, where, and what to do."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import pytest

from data.assemble import PrepareOptions, prepare
from data.dataset import PreparedDataset
from data.errors import InputError
from data.filters import FilterOptions
from data.interactions import Interactions
from data.sources import ncf_authors, synthetic, table
from data.splits import SplitOptions
from tests.data.raw_files import (
    load_movielens,
    load_table,
    says,
    write_1m,
    write_25m,
    write_ncf,
    zipped,
)
from tests.data.reading import prepared

REPOSITORY = Path(__file__).parents[2]


@pytest.mark.parametrize("name", ["t.csv", "t.parquet"])
def test_unknown_column_names_the_nearest(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    frame = pl.DataFrame({"customer_id": [1], "item": [2], "price": [3.0]})
    frame.write_csv(path) if name == "t.csv" else frame.write_parquet(path)
    rule = "The column of --user_column must be in the file once"
    found = says(rule, "'customer', not at all", name, "Did you mean 'customer_id'?")
    with pytest.raises(InputError, match=found):
        table.load(table.TableOptions(path, user_column="customer"))


@pytest.mark.parametrize(
    ("name", "mark", "shown"),
    [("t.csv", ";", '";"'), ("t.csv", "\t", r'"\t"'), ("t.csv", "|", '"|"'), ("t.tsv", ",", '","')],
)
def test_another_separator_is_asked_for_and_can_be_given(
    name: str, mark: str, shown: str, tmp_path: Path
) -> None:
    text = "kunde,artikel\nk1,a1\nk2,a2\n".replace(",", mark)
    columns = {"user_column": "kunde", "item_column": "artikel"}
    advice = f"Is the file separated by {shown}? Pass --separator={shown}."
    with pytest.raises(InputError, match=says("'kunde', not at all", "Known: 'kunde", advice)):
        load_table(tmp_path / name, text, **columns)
    source = load_table(tmp_path / name, text, **columns, separator=mark)
    assert source.events.rows() == [("k1", "a1"), ("k2", "a2")]


@pytest.mark.parametrize("separator", ["::", '"', "x", "§"])
def test_what_cannot_separate_is_refused(separator: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=says("--separator must be one", separator, "spec")):
        load_table(tmp_path / "t.csv", "user,item\n1,2\n", separator=separator)


def test_column_that_is_there_twice_or_used_twice(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=says("in the file once", "'item', 2 times", "Rename")):
        load_table(tmp_path / "t.csv", "user,item,item\n1,2,3\n")
    with pytest.raises(InputError, match=says("used once", "'user' for user, item")):
        load_table(tmp_path / "t.csv", "user,item\n1,2\n", item_column="user")


@pytest.mark.parametrize("text", ["", " \n\n"])
def test_empty_file(text: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=says("at least one line", "an empty file", "none.csv")):
        load_table(tmp_path / "none.csv", text)
    write_1m(tmp_path)
    (tmp_path / "ratings.dat").write_text(text)
    with pytest.raises(InputError, match=says("an empty file", "ratings.dat")):
        load_movielens("movielens_1m", zipped(tmp_path))


def test_table_without_a_row(tmp_path: Path) -> None:
    for text in ("user,item", "user,item\n", "user,item\n\n \n"):
        with pytest.raises(InputError, match=says("at least one line of data", "none.csv")):
            load_table(tmp_path / "none.csv", text)
    pl.DataFrame({"user": [], "item": []}).write_parquet(tmp_path / "none.parquet")
    with pytest.raises(InputError, match=says("at least one row", "none.parquet")):
        table.load(table.TableOptions(tmp_path / "none.parquet"))


def test_text_that_is_not_utf8_names_the_line(tmp_path: Path) -> None:
    text = "user,item\n1,tea\n2,café\n".encode("latin-1")
    found = says("must be utf-8 text", "byte 0xe9", "t.csv, line 3", "iconv -f latin1 -t utf-8")
    with pytest.raises(InputError, match=found):
        load_table(tmp_path / "t.csv", text)


def test_source_that_is_not_there_or_of_another_kind(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=says("source must exist", "nowhere", "--source")):
        load_movielens("movielens_1m", tmp_path / "nowhere")
    write_25m(tmp_path)
    expected = says("must hold the file 'ratings.dat'", "movies.csv, ratings.csv", "--dataset")
    with pytest.raises(InputError, match=expected):
        load_movielens("movielens_1m", tmp_path)
    with pytest.raises(InputError, match=says("folder or a zip archive", "Pass the folder")):
        load_movielens("movielens_25m", tmp_path / "ratings.csv")
    with pytest.raises(InputError, match=says(".csv, .tsv, .txt or .parquet", "t.json")):
        load_table(tmp_path / "t.json", "{}")


def test_parquet_of_wrong_types_or_with_gaps(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"

    def load(**columns: list[object]) -> None:
        pl.DataFrame({"user": [1, 2], "item": [3, 4], **columns}).write_parquet(path)
        table.load(table.TableOptions(path, time_column="at" if "at" in columns else ""))

    with pytest.raises(InputError, match=says("user column must hold integers or text", "Float64")):
        load(user=[1.0, 2.0])
    with pytest.raises(InputError, match=says("time column must hold integers, dates", "String")):
        load(at=["noon", "night"])
    with pytest.raises(InputError, match=says("item must be present", "column 'item', row 2")):
        load(item=[3, None])
    path.write_bytes(b"PAR1 and then nothing")
    with pytest.raises(InputError, match=says("readable as Parquet", "t.parquet")):
        table.load(table.TableOptions(path))


def repeated() -> Interactions:
    """Returns events in which user 1 has item 7 three times."""
    columns = {
        "user": [1, 1, 1, 1, 1, 2],
        "item": [7, 8, 7, 7, 9, 7],
        "rating": pl.Series([1.0, 2.0, 3.0, 4.0, 5.0, 6.0], dtype=pl.Float32),
        "time": [20, 30, 10, 20, 40, 50],
    }
    return Interactions("repeated", pl.DataFrame(columns))


def ratings_kept(folder: Path, source: Interactions, duplicates: str) -> list[float]:
    filters = FilterOptions(duplicates=duplicates)
    split = SplitOptions("time", test_from=50)
    data = prepared(source, folder, PrepareOptions(filters=filters, split=split))
    ratings = data.read("rows", "train")["rating"]
    assert data.schema.facts["preparation"].get("duplicates", 0) == 4 - len(ratings) + 1
    return sorted(float(rating) for rating in ratings)  # type: ignore[union-attr]


def test_duplicate_is_an_error_that_shows_the_policies(tmp_path: Path) -> None:
    found = says(
        "A user may have an item only once",
        "2 repeated interactions",
        "interactions 1 and 3: user 1, item 7",
        "--duplicates=keep_first, keep_last or keep_all",
    )
    with pytest.raises(InputError, match=found):
        prepare(repeated(), PrepareOptions(), tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_duplicate_policies_go_by_time_then_by_source_order(tmp_path: Path) -> None:
    assert ratings_kept(tmp_path / "first", repeated(), "keep_first") == [2, 3, 5]
    assert ratings_kept(tmp_path / "last", repeated(), "keep_last") == [2, 4, 5]
    assert ratings_kept(tmp_path / "all", repeated(), "keep_all") == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("method", ["leave_last_out", "ratio", "time"])
def test_split_by_time_without_times(method: str, tmp_path: Path) -> None:
    write_ncf(tmp_path)
    source = ncf_authors.load(ncf_authors.NcfOptions(tmp_path))
    found = says(
        f"The split '{method}' needs the time of each interaction",
        "a source without times",
        "--time_column, or pass --split=random_ratio",
    )
    with pytest.raises(InputError, match=found):
        prepare(source, PrepareOptions(split=SplitOptions(method)), tmp_path / "out")


def test_users_with_too_few_items_stay_in_training_and_are_counted(tmp_path: Path) -> None:
    users = [1] * 3 + [2] * 2 + [3]
    events = pl.DataFrame({"user": users, "item": [1, 2, 3, 1, 2, 1], "time": [1, 2, 3, 4, 5, 6]})
    data = prepared(Interactions("few", events), tmp_path / "out")
    assert data.schema.facts["preparation"] == {"users_only_in_train": 2}
    assert [data.split("rows", s).rows for s in ("train", "validation", "test")] == [4, 1, 1]


def test_no_user_with_enough_items(tmp_path: Path) -> None:
    events = pl.DataFrame({"user": [1, 1, 2], "item": [1, 2, 1], "time": [1, 2, 3]})
    found = says("needs a user with at least 3 interactions", "at most 2 a user", "--user_column")
    with pytest.raises(InputError, match=found):
        prepare(Interactions("few", events), PrepareOptions(), tmp_path / "out")


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        (FilterOptions("keep_all", min_rating=9.0), ("pass the filters", "6 dropped as below_min")),
        (FilterOptions("keep_all", None, 50), ("pass the filters", "6 dropped as outside_k_core")),
    ],
)
def test_filters_that_leave_nothing(
    filters: FilterOptions, expected: tuple[str, str], tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=says(*expected, "Lower --min_rating")):
        prepare(repeated(), PrepareOptions(filters=filters), tmp_path / "out")


def test_rating_threshold_without_ratings(tmp_path: Path) -> None:
    events = pl.DataFrame({"user": [1], "item": [1], "time": [1]})
    options = PrepareOptions(filters=FilterOptions(min_rating=4))
    with pytest.raises(InputError, match=says("threshold needs ratings", "--rating_column")):
        prepare(Interactions("unrated", events), options, tmp_path / "out")


def test_failed_overwrite_keeps_the_old_dataset(tmp_path: Path) -> None:
    world = synthetic.SyntheticOptions(users=20, items=60, ratings=200)
    old = prepared(synthetic.load(world), tmp_path / "out").schema
    source = synthetic.load(world)
    assert source.items is not None
    source.items = source.items.with_columns(rating=pl.lit("x"))  # found out at the very end
    with pytest.raises(InputError, match=says("must not have a reserved name", "rating")):
        prepare(source, PrepareOptions(), tmp_path / "out", overwrite=True)
    assert PreparedDataset(tmp_path / "out").schema == old
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def command(out: Path) -> list[str]:
    options = ("--synthetic_users=3000", "--synthetic_ratings=200000", f"--out={out}")
    return [sys.executable, "-m", "data.prepare", "--dataset=synthetic", *options]


def test_killed_prepare_leaves_nothing_and_the_same_command_works(tmp_path: Path) -> None:
    out = tmp_path / "out"
    process = subprocess.Popen(command(out), cwd=REPOSITORY, stderr=subprocess.DEVNULL)
    # A folder: a file that tries whether anything can be written may come and go before it.
    while process.poll() is None and not any(path.is_dir() for path in tmp_path.iterdir()):
        time.sleep(0.001)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    (left,) = tmp_path.iterdir()
    assert left.name.startswith(".out.partial-")
    with pytest.raises(InputError, match=r"must hold a schema\.json"):
        PreparedDataset(left)

    again = subprocess.run(command(out), cwd=REPOSITORY, capture_output=True, text=True)
    assert again.returncode == 0, again.stderr
    assert "together: 200,000 interactions" in again.stdout
    assert PreparedDataset(out).split("rows", "train").rows == 200_000 - 2 * 3000
    assert [path.name for path in tmp_path.iterdir()] == ["out"]

    refused = subprocess.run(command(out), cwd=REPOSITORY, capture_output=True, text=True)
    assert refused.returncode == 2
    message = says("error: The output folder must not exist yet", str(out), "pass --overwrite")
    assert re.search(message, refused.stderr)
    assert "Traceback" not in refused.stderr
