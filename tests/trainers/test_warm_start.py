"""A second month: what is known of old ids scores the same before the first new step."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import numpy as np
import polars as pl
import pytest
import tensorflow as tf

from configs.base import RunConfig
from configs.overrides import apply_overrides
from configs.registry import MODELS, build_model, recipe
from configs.runs import TrainedRun, load_run, load_without_rows
from data.dataset import PreparedDataset
from data.engine.engines import LocalEngine
from data.engine.prepare_table import prepare_table
from data.engine.stages import TableOptions
from data.errors import InputError
from data.pipeline import make_dataset
from data.reading import Reading
from data.renumbering import DROPPED, Renumbering, renumber
from data.spec.parsing import parse_spec
from models.closed_form import ClosedForm
from models.communicator import Communicator
from models.placement import Placement
from models.table_files import write_tables
from models.table_storage import table_storage
from models.table_transfer import transfer_rows
from models.tables import EmbeddingTables, Part, TableConfig
from tests.data.raw_files import says
from tests.data.spec_tables import prepare_frame
from tests.trainers.renumbered import prepared, random_run, save_run, scores_by_raw_id
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
    said = warm_start(model, config, data).splitlines()
    assert said[1].split() == ["feature", "kept", "new", "dropped", "kept", "of", "all"]
    assert ["user", "20", "8", "0", "71.4%"] in [line.split() for line in said]
    assert not any("anew" in line for line in said)
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


def test_a_spread_that_was_fitted_anew_is_told(
    run: Path, months: dict[str, PreparedDataset], tmp_path: Path
) -> None:
    prepare_table(
        SPEC, month(tmp_path / "b.parquet", 1), TableOptions(), tmp_path / "b", LocalEngine(1)
    )
    data = PreparedDataset(tmp_path / "b")
    config = apply_overrides(load_run(run).config, [f"trainer.warm_start={run}"])
    said = warm_start(build_model(config, data), config, data).splitlines()
    assert said[-1] == "fitted anew, so that old rows score otherwise: price"
    assert ["user", "12", "8", "8", "60.0%"] in [line.split() for line in said]


def test_other_models_and_other_widths_are_refused(
    run: Path, months: dict[str, PreparedDataset]
) -> None:
    data = months["both"]
    config = apply_overrides(
        load_run(run).config, [f"trainer.warm_start={run}", "model.exclude=price"]
    )
    with pytest.raises(InputError, match=r"same numbers as inputs\. Received: , trained price"):
        warm_start(build_model(config, data), config, data)
    config = apply_overrides(load_run(run).config, [f"trainer.warm_start={run}", "model.dim=3"])
    width = load_run(run).config.model.dim
    told = (
        rf"settings of the run .*model\.dim=3, trained with {width}\. .*--set=model\.dim={width},"
    )
    with pytest.raises(InputError, match=told):
        warm_start(build_model(config, data), config, data)
    other = "dlrm" if config.model_name == "wide_deep" else "wide_deep"
    config = apply_overrides(recipe(other, "tiny"), [f"trainer.warm_start={run}"])
    with pytest.raises(InputError, match="a run of the same model"):
        warm_start(build_model(config, data), config, data)


def test_another_variant_is_named_and_no_shapes(
    logs: dict[str, PreparedDataset], tmp_path: Path
) -> None:
    config = random_run("bert4rec", logs["before"], tmp_path / "run")
    changes = [f"trainer.warm_start={tmp_path / 'run'}", "model.variant=sasrec"]
    config = apply_overrides(config, changes)
    with pytest.raises(InputError) as found:
        warm_start(build_model(config, logs["grown"]), config, logs["grown"])
    assert str(found.value) == (
        "A warm start needs a model with the settings of the run to start from. Received: "
        f"model.variant=sasrec, trained with bert. At: {tmp_path / 'run'}. Give "
        "--set=model.variant=bert, or train without --warm_start."
    )


def test_a_model_that_is_solved_at_once_has_no_warm_start(
    logs: dict[str, PreparedDataset], tmp_path: Path
) -> None:
    config = random_run("ease", logs["before"], tmp_path / "run")
    config = apply_overrides(config, [f"trainer.warm_start={tmp_path / 'run'}"])
    with pytest.raises(InputError, match=r"ease, which is solved .* in one go.*without --warm_st"):
        warm_start(build_model(config, logs["grown"]), config, logs["grown"])


def test_other_columns_are_refused(
    run: Path, months: dict[str, PreparedDataset], tmp_path: Path
) -> None:
    rows = pl.read_parquet(month(tmp_path / "b.parquet", 0))
    features = {"label": {"kind": "label"}, "user": {"kind": "user"}, "item": {"kind": "item"}}
    data = prepare_frame(rows, features, tmp_path / "b", split={"method": "hash"})
    config = apply_overrides(load_run(run).config, [f"trainer.warm_start={run}"])
    with pytest.raises(InputError, match=says("rows.user (user) where the run has rows.price")):
        warm_start(build_model(config, data), config, data)


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, PreparedDataset]:
    """Returns a log, and others of more, of fewer and of other users and items, all shuffled."""
    folder = tmp_path_factory.mktemp("logs")
    ranges = {
        "before": (range(30), range(24)),
        "shuffled": (range(30), range(24)),
        "grown": (range(38), range(33)),
        "shrunk": (range(6, 28), range(3, 20)),
        "moved": (range(4, 38), range(5, 33)),
    }
    return {
        name: prepared(folder / name, users, items, seed)
        for seed, (name, (users, items)) in enumerate(ranges.items())
    }


TRAINED_BY_STEPS = [
    name
    for name, entry in MODELS.items()
    if not (isinstance(entry.model, type) and issubclass(entry.model, ClosedForm))
]


@pytest.fixture(scope="module", params=TRAINED_BY_STEPS)
def before(
    request: pytest.FixtureRequest,
    logs: dict[str, PreparedDataset],
    tmp_path_factory: pytest.TempPathFactory,
) -> TrainedRun:
    """Returns a run of random weights and slots."""
    folder = tmp_path_factory.mktemp("before") / request.param
    random_run(request.param, logs["before"], folder)
    return load_run(folder)


def test_the_run_to_start_from_is_loaded_without_its_tables(before: TrainedRun) -> None:
    loaded = load_without_rows(before.folder)
    assert all(stack.variable.shape[0] == 0 for stack in loaded.model.tables.stacks)
    assert loaded.model.tables.configs == before.model.tables.configs
    ours, theirs = loaded.model.trainable_variables, before.model.trainable_variables
    for mine, other in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(mine, other)


def shared(logs: dict[str, PreparedDataset], name: str, feature: str) -> list[str]:
    both = np.intersect1d(logs["before"].raw_ids(feature), logs[name].raw_ids(feature))
    return both.tolist()


@pytest.mark.parametrize("name", ["shuffled", "grown", "shrunk", "moved"])
def test_old_ids_score_the_same_whatever_became_of_the_others(
    before: TrainedRun, logs: dict[str, PreparedDataset], name: str
) -> None:
    data = logs[name]
    assert (before.data.raw_ids("item")[:9] != data.raw_ids("item")[:9]).any()
    users, items = (shared(logs, name, feature) for feature in ("user", "item"))
    asked = scores_by_raw_id(before.model, before.data, users, items)
    config = apply_overrides(before.config, [f"trainer.warm_start={before.folder}"])
    model = build_model(config, data)
    assert np.abs(scores_by_raw_id(model, data, users, items) - asked).max() > 1e-3
    warm_start(model, config, data)
    assert int(model.tables.updates) == 77
    np.testing.assert_allclose(scores_by_raw_id(model, data, users, items), asked, 1e-6, 1e-6)


def test_items_are_moved_with_their_slots_and_new_ones_start_anew(
    before: TrainedRun, logs: dict[str, PreparedDataset]
) -> None:
    data, folder = logs["moved"], before.folder / "checkpoints" / "step-000000077" / "tables"
    config = apply_overrides(before.config, [f"trainer.warm_start={before.folder}"])
    model, fresh = build_model(config, data), build_model(config, data)
    fresh.tables.build_slots()
    warm_start(model, config, data)
    moved = renumber(before.data, data, "item")
    old_of_new = moved.old_of_new()
    is_new = (old_of_new == 1) & (np.arange(len(old_of_new)) > 1)
    assert is_new.sum() == 9
    for stack, other in zip(model.tables.stacks, fresh.tables.stacks, strict=True):
        for table in stack.offsets:
            if table.rpartition("/")[2] != "item":
                continue
            start, end = stack.offsets[table], stack.offsets[table] + len(old_of_new)
            variables = {"values": (stack.variable, other.variable)}
            variables |= {slot: (stack.slots[slot], other.slots[slot]) for slot in stack.slots}
            assert len(variables) > 1
            for part, (ours, initial) in variables.items():
                old = np.load(folder / quote(table, safe="") / f"{part}-00000-of-00001.npy")
                rows = ours[start:end].numpy()
                np.testing.assert_array_equal(rows[~is_new], old[old_of_new[~is_new]])
                np.testing.assert_array_equal(rows[is_new], initial[start:end].numpy()[is_new])


def test_what_a_cross_hashes_is_new_to_it_only_for_new_ids(
    logs: dict[str, PreparedDataset], tmp_path: Path
) -> None:
    """Twice in a row: the second run goes on with what the first was given."""
    config = random_run("wide_deep", logs["before"], tmp_path / "first")
    model = load_run(tmp_path / "first").model
    hashed = {raw: n + 2 for n, raw in enumerate(logs["before"].raw_ids("item").tolist())}
    for number, name in enumerate(("moved", "grown")):
        source = tmp_path / ("first", "second")[number]
        config = apply_overrides(config, [f"trainer.warm_start={source}"])
        model = build_model(config, logs[name])
        warm_start(model, config, logs[name])
        raw_ids = logs[name].raw_ids("item").tolist()
        now = dict(zip(raw_ids, model.features._hashed["item"][2:].numpy().tolist(), strict=True))
        for raw in set(now) & set(hashed):
            assert now[raw] == hashed[raw]
        fresh = {now[raw] for raw in set(now) - set(hashed)}
        assert len(fresh) == len(set(now) - set(hashed)) > 0
        assert min(fresh) > max(hashed.values())
        hashed = now
        if number == 0:
            save_run(config, logs[name], model, tmp_path / "second")


@pytest.mark.parametrize(("saved", "ranks"), [(1, 1), (1, 2), (3, 2), (2, 3)])
def test_rows_after_the_vocabulary_stay_the_last_ones_on_any_ranks(
    saved: int, ranks: int, tmp_path: Path
) -> None:
    ids = Renumbering(np.array([0, 1, 4, DROPPED, 2], np.int32), 7)

    def tables(rows: int, seed: int, rank: int, size: int) -> EmbeddingTables:
        other = TableConfig("other", 5, (Part("v", 2, 1.0),), "adam")
        item = TableConfig("item", rows, (Part("v", 2, 1.0),), "adam")
        world = Communicator()
        world.rank, world.size = rank, size
        with table_storage(communicator=world, placement=Placement(("sharded",))):
            made = EmbeddingTables([other, item], {"item": "item"}, seed)
        made.build_slots()
        return made

    old, fresh = tables(6, 1, 0, 1), tables(8, 2, 0, 1)
    for rank in range(saved):
        write_tables(tables(6, 1, rank, saved), tmp_path)
    expected = fresh.rows("item").numpy()
    expected[[0, 1, 4, 2, 7]] = old.rows("item").numpy()[[0, 1, 2, 4, 5]]
    for rank in range(ranks):
        mine = tables(8, 2, rank, ranks)
        assert transfer_rows(tmp_path, old.configs, mine, {"item": ids}) == set()
        for table, rows in {"item": expected, "other": old.rows("other").numpy()}.items():
            start, count = mine.stacks[0].held(table)
            held = mine.stacks[0].variable[start : start + count].numpy()
            np.testing.assert_array_equal(held, rows[rank::ranks])


def test_tables_whose_size_no_vocabulary_explains_keep_their_initial_values(tmp_path: Path) -> None:
    def tables(rows: int, seed: int) -> EmbeddingTables:
        config = TableConfig("price_bucket", rows, (Part("v", 2, 1.0),), "sgd")
        return EmbeddingTables([config], {}, seed)

    old, new = tables(5, 1), tables(4, 2)
    write_tables(old, tmp_path)
    assert transfer_rows(tmp_path, old.configs, new, {}) == {"price_bucket"}
    np.testing.assert_array_equal(new.rows("price_bucket"), tables(4, 2).rows("price_bucket"))
