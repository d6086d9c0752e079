"""LightGCN's files: pairs, the given test split, the drawn validation, malformed lines."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.assemble import PrepareOptions
from data.errors import InputError
from data.interactions import Interactions
from data.sources import lightgcn
from data.splits import SplitOptions
from tests.data.raw_files import replace_line, says, zipped
from tests.data.reading import prepared, raw_lists

TRAIN = "0 10 11 12 13\n1 11\n2 10 13\n3\n"
TEST = "0 14 15 \n1\n2 11\r\n\n4 10"


def load(folder: Path, ratio: float = 0.1, seed: int = 0, share: float = 0.0) -> Interactions:
    return lightgcn.load(lightgcn.LightGcnOptions(folder, ratio, seed, share))


def write(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "train.txt").write_text(TRAIN)
    (folder / "test.txt").write_bytes(TEST.encode())
    return folder


def pairs(source: Interactions, *splits: str) -> list[tuple[int, int]]:
    rows = source.events.select("user", "item", "split").rows()
    return sorted((user, item) for user, item, split in rows if split in splits)


@pytest.mark.parametrize("as_zip", [False, True])
def test_test_is_as_given_and_validation_is_drawn_from_train(as_zip: bool, tmp_path: Path) -> None:
    folder = write(tmp_path / "gowalla")
    source = load(zipped(folder) if as_zip else folder)
    assert source.name == "gowalla"
    assert pairs(source, "test") == [(0, 14), (0, 15), (2, 11), (4, 10)]
    train = [(0, 10), (0, 11), (0, 12), (0, 13), (1, 11), (2, 10), (2, 13)]
    assert pairs(source, "train", "validation") == train
    assert [user for user, _ in pairs(source, "validation")] == [0, 2]
    assert set(source.files) == {"train.txt", "test.txt"}
    assert "time" not in source.events.columns


def test_prepared_lists_keep_the_order_of_the_files(tmp_path: Path) -> None:
    source = load(write(tmp_path / "gowalla"), ratio=0)
    options = PrepareOptions(split=SplitOptions("given"), negatives=1)
    data = prepared(source, tmp_path / "out", options)
    assert set(data.schema.view("rows").splits) == {"train", "test"}
    assert raw_lists(data, "train", "item")[0] == [10, 11, 12, 13]
    assert raw_lists(data, "test", "seen_item") == {0: [10, 11, 12, 13], 2: [10, 13], "?": []}
    assert raw_lists(data, "test", "item") == {0: ["?", "?"], 2: [11], "?": [10]}


@settings(max_examples=100, deadline=None)
@given(
    users=st.lists(st.integers(0, 9), min_size=1, max_size=80),
    ratio=st.sampled_from([0.0, 0.1, 0.3, 0.9]),
    seed=st.integers(0, 9),
)
def test_share_of_each_user_is_rounded_down_but_one_of_two(
    users: list[int], ratio: float, seed: int
) -> None:
    of_event = np.array(users)
    drawn = lightgcn.draw_share(of_event, ratio, seed)
    for user in set(users):
        count = users.count(user)
        expected = max(int(count * ratio + 1e-9), int(count >= 2)) if ratio else 0
        assert drawn[of_event == user].sum() == expected
    np.testing.assert_array_equal(lightgcn.draw_share(of_event, ratio, seed), drawn)


def test_every_item_of_a_user_can_be_drawn() -> None:
    drawn = [lightgcn.draw_share(np.zeros(12, np.int64), 0.1, seed) for seed in range(100)]
    assert np.any(drawn, axis=0).all()


@pytest.mark.parametrize(
    "line", ["x 1", "0 1 -1", "0 1,2", "0 01", "1.0 2", "0 1234567890123456789"]
)
def test_malformed_line_is_named_or_skipped(line: str, tmp_path: Path) -> None:
    folder = write(tmp_path / "gowalla")
    replace_line(folder / "train.txt", 3, line.encode())
    found = says(
        "Each line must read user item item", repr(line), "train.txt, line 3 (1 of 4 lines"
    )
    with pytest.raises(InputError, match=found):
        load(folder, share=0.2)
    source = load(folder, share=0.25)
    assert source.skipped_lines == {"train.txt": 1}
    assert {user for user, _ in pairs(source, "train", "validation")} == {0, 1}


def test_other_bad_input(tmp_path: Path) -> None:
    folder = write(tmp_path / "gowalla")
    with pytest.raises(InputError, match=r"at least 0 and below 1.*--validation_ratio=1"):
        load(folder, ratio=1)
    (folder / "test.txt").unlink()
    with pytest.raises(InputError, match=r"must hold the file 'test\.txt'"):
        load(folder)
    (folder / "test.txt").write_bytes(b"0 1\n1 \xff\n")
    with pytest.raises(InputError, match=r"utf-8 text.*test\.txt, line 2"):
        load(folder)


def test_item_in_train_and_test_is_told(tmp_path: Path) -> None:
    folder = write(tmp_path / "gowalla")
    replace_line(folder / "test.txt", 1, b"0 10")
    with pytest.raises(InputError, match=r"user 0, item 10.*--duplicates"):
        prepared(load(folder), tmp_path / "out", PrepareOptions(split=SplitOptions("given")))
