"""What is fitted on train, and how raw ids are found again, against a few lines of NumPy."""

from __future__ import annotations

import pickle
from collections import Counter
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from data.engine import fitting
from data.engine.fitting import NumberFit, fit_vocabulary
from data.engine.parts import make_part, write_part
from data.engine.raw_id_index import RawIdIndex
from data.events import TRAIN, VALIDATION
from data.spec.parsing import parse_spec
from data.vocabulary import Vocabulary

SPEC = parse_spec(
    {
        "features": {
            "label": {"kind": "label"},
            "word": {"kind": "categorical", "min_count": 2},
            "tags": {"kind": "multi_hot"},
        }
    },
    "features.yaml",
)
PARTS, PART_ROWS = 6, 200


@pytest.fixture
def parts(tmp_path: Path) -> tuple[list[Path], list[pl.DataFrame]]:
    """Writes parts of words and lists of words, some of them missing."""
    rng = np.random.default_rng(0)
    paths, frames = [], []
    for index in range(PARTS):
        words = [f"w{n}" if n else None for n in rng.geometric(0.05, PART_ROWS) - 1]
        tags = ["|".join(f"t{n}" for n in rng.integers(0, 40, k)) for k in rng.integers(0, 4, 200)]
        frame = pl.DataFrame({"label": np.ones(PART_ROWS, np.float32), "word": words, "tags": tags})
        paths.append(tmp_path / f"{index}.arrow")
        write_part(paths[-1], make_part(SPEC, frame, "file"))
        frames.append(frame)
    return paths, frames


def split_of(index: int) -> np.ndarray:
    """Every fifth row is held out."""
    return np.where(np.arange(PART_ROWS) % 5, TRAIN, VALIDATION).astype(np.int8)


@pytest.mark.parametrize(("at_once", "waiting"), [(10_000, 10_000), (10_000, 30), (17, 5)])
def test_vocabulary_does_not_depend_on_what_is_counted_at_once(
    at_once: int,
    waiting: int,
    parts: tuple[list[Path], list[pl.DataFrame]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(fitting, "_AT_ONCE", at_once)
    monkeypatch.setattr(fitting, "_WAITING", waiting)
    paths, frames = parts
    train = pl.concat(f.filter(pl.Series(split_of(n) == TRAIN)) for n, f in enumerate(frames))
    texts = {"word": train["word"].drop_nulls().to_list()}
    texts["tags"] = [tag for text in train["tags"] for tag in text.split("|") if tag]
    for name, least in (("word", 2), ("tags", 1)):
        counts = {raw: n for raw, n in Counter(texts[name]).items() if n >= least}
        expected = sorted(counts, key=lambda raw: (-counts[raw], raw))
        vocabulary = fit_vocabulary(paths, split_of, [SPEC.feature(name)])
        assert vocabulary.raw_ids.to_list() == expected


@pytest.mark.parametrize("cuts", [[], [1], [300, 301, 900]])
def test_spread_of_numbers(cuts: list[int]) -> None:
    rng = np.random.default_rng(1)
    small = rng.integers(-5, 5, 600)
    values = np.concatenate([small, rng.normal(0, 1e4, 600)]).astype(np.float32)
    rng.shuffle(values)
    fit = NumberFit(())
    for part in np.split(values, cuts):
        fit.add(part, missing=0)
    found = fit.statistics()
    assert found is not None
    assert found.mean == pytest.approx(values.mean(dtype=np.float64))
    assert found.stddev == pytest.approx(values.std(dtype=np.float64))
    assert (found.minimum, found.maximum) == (values.min(), values.max())
    exact = np.sort(values)[np.arange(1, 64) * len(values) // 64]
    for value in found.quantiles:
        assert value in values
        assert np.abs(exact - value).min() <= abs(value) / 2000
    assert len(found.quantiles) == len(np.unique(exact))


WORDS = pl.Series([f"w{n * 7919 % 1000}" for n in range(1000)])


def test_index_finds_ids_by_rank() -> None:
    index = RawIdIndex(Vocabulary(WORDS, np.zeros(0, np.int32)))
    asked = pl.Series(["w0", "nobody", WORDS[999], WORDS[1], "", "w0"])
    expected = [2, 1, 1001, 3, 1, 2]
    assert index.ids(asked).tolist() == expected
    assert pickle.loads(pickle.dumps(index)).ids(asked).tolist() == expected
    assert index.ids(asked[:0]).tolist() == []
    numbers = Vocabulary(pl.Series([2**62, -1, 0]), np.zeros(0, np.int32))
    assert RawIdIndex(numbers).ids(pl.Series([0, 7, -1, 2**62])).tolist() == [4, 1, 3, 2]
    none = Vocabulary(pl.Series([], dtype=pl.String), np.zeros(0, np.int32))
    assert RawIdIndex(none).ids(asked).tolist() == [1] * 6


def test_index_tells_raw_ids_of_one_hash_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pl.Series, "hash", lambda self: self.str.len_bytes().cast(pl.UInt64))
    index = RawIdIndex(Vocabulary(WORDS, np.zeros(0, np.int32)))
    assert index.ids(WORDS).tolist() == list(range(2, 1002))
    assert index.ids(pl.Series(["x12", "w12"])).tolist() == [1, 2 + WORDS.to_list().index("w12")]
