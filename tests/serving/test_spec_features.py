"""Raw rows, sent as a client sends them, score as the rows that the spec prepared of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from conftest import Exported, write_export

from data.dataset import PreparedDataset
from data.engine.engines import LocalEngine
from data.engine.prepare_table import prepare_table
from data.engine.stages import TableOptions
from data.pipeline import MASK, make_dataset
from data.reading import Reading
from data.spec.parsing import parse_spec
from serving.sample import trainer_answers
from serving.verify import differences
from tests.data import nasty_table

MISSING = nasty_table.SPEC["source"]["missing"]


@pytest.fixture(scope="module")
def held_out() -> list[dict[str, str]]:
    return nasty_table.rows(150, seed=1)


@pytest.fixture(scope="module", params=["wide_deep", "dlrm"])
def exported(
    request: pytest.FixtureRequest,
    held_out: list[dict[str, str]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Exported:
    folder = tmp_path_factory.mktemp(request.param)
    (folder / "source").mkdir()
    nasty_table.write(folder / "source" / "train.csv", nasty_table.rows(900))
    nasty_table.write(folder / "source" / "test.csv", held_out)
    split = {"method": "files", "test_files": ["test.csv"], "validation": 0}
    spec = parse_spec({**nasty_table.SPEC, "split": split}, "nasty")
    out = folder / "data"
    prepare_table(spec, str(folder / "source"), TableOptions(), out, LocalEngine(1))
    return write_export(PreparedDataset(out), folder, request.param)


def number(text: str) -> float:
    return float(text) if text else float("nan")


def known(text: str) -> str:
    return "" if text in MISSING else text


def padded(lists: list[list[str]]) -> list[list[str]]:
    width = max(map(len, lists))
    return [values + [""] * (width - len(values)) for values in lists]


def request_of(rows: list[dict[str, str]]) -> dict[str, tf.Tensor]:
    """Returns raw rows as the signature takes them."""
    lists = {"tags": "|", "words": " "}
    return {
        "user": tf.constant([int(row["customer"]) for row in rows], tf.int64),
        "item": tf.constant([row["product"] for row in rows]),
        "price": tf.constant([number(row["price"]) for row in rows]),
        "stock": tf.constant([number(row["stock"]) for row in rows]),
        "colour": tf.constant([known(row["colour"]) for row in rows]),
        "lining": tf.constant([known(row["lining"]) for row in rows]),
        "session": tf.constant([row["session"] for row in rows]),
        **{
            name: tf.constant(padded([[v for v in row[name].split(by) if v] for row in rows]))
            for name, by in lists.items()
        },
    }


def prepared_logits(exported: Exported) -> np.ndarray:
    model, data = exported.run.model, exported.run.data
    transforms = model.transforms(data, ("test",), False)
    batches = make_dataset(data, Reading("rows", ("test",), 64), transforms)
    return np.concatenate([model(b).numpy()[b[MASK].numpy() > 0] for b in batches])


def test_both_ways_give_the_same_logits(exported: Exported, held_out: list[dict[str, str]]) -> None:
    asked = request_of(held_out)
    found = exported.signatures["score"](**asked)["logit"].numpy()
    np.testing.assert_allclose(found, prepared_logits(exported), rtol=1e-5, atol=1e-5)
    for name, values in asked.items():  # a column that were ignored would prove nothing
        reverse = {**asked, name: tf.reverse(values, [0])}
        other = exported.signatures["score"](**reverse)["logit"].numpy()
        assert np.abs(other - found).max() > 1e-4, name


def test_the_exporters_own_check_covers_hashed_columns(exported: Exported, tmp_path: Path) -> None:
    np.savez(tmp_path / "sample.npz", **trainer_answers(exported.run))  # type: ignore[arg-type]
    with np.load(tmp_path / "sample.npz", allow_pickle=False) as stored:  # as the check reads it
        sample = dict(stored)
    assert {"score:session", "score:words"} <= sample.keys()
    assert differences(str(exported.path), sample) == []
    sample["score:session"] = sample["score:session"][::-1]
    assert differences(str(exported.path), sample) == ["score: logits differ"]
