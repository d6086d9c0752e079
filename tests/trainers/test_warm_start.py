"""A second month added to the first: old rows score the same before the first new step."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
import tensorflow as tf

from configs.base import RunConfig
from configs.overrides import apply_overrides
from configs.registry import build_model, recipe
from configs.runs import load_run
from data.dataset import PreparedDataset
from data.engine.engines import LocalEngine
from data.engine.prepare_table import prepare_table
from data.engine.stages import TableOptions
from data.errors import InputError
from data.pipeline import make_dataset
from data.reading import Reading
from data.spec.parsing import parse_spec
from models.communicator import Communicator
from models.table_files import write_tables
from models.table_transfer import transfer_rows
from models.tables import EmbeddingTables, Part, TableConfig
from tests.data.raw_files import says
from trainers.loop import Trainer
from trainers.run_folder import open_run_folder
from trainers.warm_start import warm_start

SPEC = parse_spec(
    {
        "name": "shop",
        "split": {"method": "hash", "validation": 0.2, "test": 0.2},
        "features": {
            "label": {"kind": "label"},
            "user": {"kind": "user"},
            "item": {"kind": "item"},
            "price": {"kind": "numeric", "transforms": ["normalise"], "bucketise": 4},
            "colour": {"kind": "categorical"},
        },
        "crosses": {"colour_price": {"of": ["colour", "price_bucket"], "hash": 20}},
    },
    "shop.yaml",
)


def month(path: Path, number: int) -> str:
    """Writes purchases of users and items of which each month has some of its own."""
    rng = np.random.default_rng(number)
    rows = 600
    user, item = rng.integers(0, 20, rows) + 8 * number, rng.integers(0, 15, rows) + 5 * number
    pl.DataFrame(
        {
            "label": ((user + item) % 2).astype(int),
            "user": [f"u{u}" for u in user],
            "item": [f"i{i}" for i in item],
            "price": rng.normal(10 + 50 * number, 3, rows).astype(np.float32),
            "colour": rng.choice(["red", "green", f"c{number}"], rows),
        }
    ).write_parquet(path)
    return str(path)


@pytest.fixture(scope="module")
def months(tmp_path_factory: pytest.TempPathFactory) -> dict[str, PreparedDataset]:
    folder = tmp_path_factory.mktemp("months")
    engine, found = LocalEngine(1), {}
    for number, name in enumerate(("first", "both")):
        options = TableOptions(append=str(folder / "first") if number else "")
        source = month(folder / f"{name}.parquet", number)
        prepare_table(SPEC, source, options, folder / name, engine)
        found[name] = PreparedDataset(folder / name)
    return found


def train(config: RunConfig, data: PreparedDataset, folder: Path) -> Path:
    open_run_folder(folder, config, data, False)
    Trainer(config, data, build_model(config, data), folder, Communicator()).train()
    return folder


@pytest.fixture(scope="module", params=["wide_deep", "dlrm"])
def run(
    request: pytest.FixtureRequest,
    months: dict[str, PreparedDataset],
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    config = apply_overrides(recipe(request.param, "tiny"), ["trainer.epochs=2"])
    return train(config, months["first"], tmp_path_factory.mktemp(request.param) / "run")


def logits(model: tf.keras.Model, data: PreparedDataset, rows: int) -> np.ndarray:
    batch = next(iter(make_dataset(data, Reading("rows", ("test",), rows))))
    return model(batch).numpy()


def test_old_rows_score_the_same_before_the_first_step(
    run: Path, months: dict[str, PreparedDataset], tmp_path: Path
) -> None:
    old, data = load_run(run), months["both"]
    config = apply_overrides(old.config, [f"trainer.warm_start={run}", "trainer.epochs=1"])
    model = build_model(config, data)
    before = months["first"].split("rows", "test").rows
    asked = logits(old.model, months["first"], before)
    assert np.abs(logits(model, data, before) - asked).max() > 1e-3
    said = warm_start(model, config, data)
    assert "new rows: " in said
    assert "user +8" in said
    np.testing.assert_array_equal(logits(model, data, before), asked)
    trainer = Trainer(config, data, model, tmp_path, Communicator())
    trainer.train()
    assert np.abs(logits(model, data, before) - asked).max() > 1e-4


def test_new_rows_start_as_if_nothing_had_been_before(
    run: Path, months: dict[str, PreparedDataset]
) -> None:
    old, data = load_run(run), months["both"]
    config = apply_overrides(old.config, [f"trainer.warm_start={run}"])
    model, fresh = build_model(config, data), build_model(config, data)
    warm_start(model, config, data)
    known = months["first"].schema.cardinality("user")
    ours, theirs = (m.tables.rows("deep/user").numpy() for m in (model, fresh))
    np.testing.assert_array_equal(ours[known:], theirs[known:])
    assert np.abs(ours[:known] - theirs[:known]).max() > 0
    for stack in model.tables.stacks:
        for slot in stack.slots.values():
            start = stack.offsets.get("deep/user")
            if start is not None:
                assert np.abs(slot[start : start + known].numpy()).max() > 0


def test_a_vocabulary_in_another_order_is_refused(
    run: Path, months: dict[str, PreparedDataset], tmp_path: Path
) -> None:
    prepare_table(
        SPEC, month(tmp_path / "b.parquet", 1), TableOptions(), tmp_path / "b", LocalEngine(1)
    )
    data = PreparedDataset(tmp_path / "b")
    config = apply_overrides(load_run(run).config, [f"trainer.warm_start={run}"])
    with pytest.raises(InputError, match=says("must begin with that of the run", "--append=")):
        warm_start(build_model(config, data), config, data)


def test_other_models_and_other_widths_are_refused(
    run: Path, months: dict[str, PreparedDataset]
) -> None:
    data = months["both"]
    config = apply_overrides(load_run(run).config, [f"trainer.warm_start={run}", "model.dim=3"])
    with pytest.raises(InputError, match="must be of the same kind"):
        warm_start(build_model(config, data), config, data)
    other = "dlrm" if config.model_name == "wide_deep" else "wide_deep"
    config = apply_overrides(recipe(other, "tiny"), [f"trainer.warm_start={run}"])
    with pytest.raises(InputError, match="a run of the same model"):
        warm_start(build_model(config, data), config, data)


def test_rows_after_the_vocabulary_stay_the_last_ones(tmp_path: Path) -> None:
    def tables(rows: int, seed: int) -> EmbeddingTables:
        other = TableConfig("other", 3, (Part("v", 2, 1.0),), "adam")
        item = TableConfig("item", rows, (Part("v", 2, 1.0),), "adam")
        made = EmbeddingTables([other, item], {"item": "item"}, seed)
        made.build_slots()
        return made

    old, new, fresh = tables(6, 1), tables(9, 2), tables(9, 2)
    write_tables(old, tmp_path)
    assert transfer_rows(tmp_path, old.configs, new, {"item": 5}) == {"other": 3, "item": 6}
    rows = new.rows("item").numpy()
    np.testing.assert_array_equal(rows[:5], old.rows("item")[:5])
    np.testing.assert_array_equal(rows[5:8], fresh.rows("item")[5:8])
    np.testing.assert_array_equal(rows[8], old.rows("item")[5])
    np.testing.assert_array_equal(new.rows("other"), old.rows("other"))
