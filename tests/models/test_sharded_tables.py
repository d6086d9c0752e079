"""Tables dealt to ranks by row: what each holds, and files that any number of ranks reads."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from data.errors import InputError
from models.communicator import Communicator
from models.exchange import by_owner
from models.placement import Placement
from models.table_files import TableFiles, read_tables, write_tables
from models.table_storage import table_storage
from models.tables import EmbeddingTables, Part, TableConfig

PART = (Part("v", 3, 0.5),)
CONFIGS = [TableConfig("user", 10, PART, "adam"), TableConfig("item/of", 100_000, PART, "adam")]


def tables_of(rank: int, ranks: int, placement: str = "sharded", seed: int = 4) -> EmbeddingTables:
    """Returns what one rank of several makes; it talks to nobody."""
    world = Communicator()
    world.rank, world.size = rank, ranks
    with table_storage(communicator=world, placement=Placement((placement,))):
        made = EmbeddingTables(CONFIGS, {"user": "user"}, seed)
    made.build_slots()
    return made


def held(tables: EmbeddingTables, table: str) -> np.ndarray:
    stack = tables.stacks[0]
    start, count = stack.held(table)
    return stack.variable[start : start + count].numpy()


@pytest.mark.parametrize("ranks", [2, 3, 7])
def test_initial_values_depend_on_seed_table_and_row_alone(ranks: int) -> None:
    alone = tables_of(0, 1)
    for rank in range(ranks):
        mine = tables_of(rank, ranks)
        for table in ("user", "item/of"):
            np.testing.assert_array_equal(held(mine, table), alone.rows(table)[rank::ranks])


def test_every_rank_holds_as_many_rows_and_numbers_find_them() -> None:
    for rank in range(3):
        stack = tables_of(rank, 3).stacks[0]
        assert stack.variable.shape == (4 + 33_334, 3)
        assert stack.offsets == {"user": 0, "item/of": 12}
        assert [stack.held(t)[1] for t in ("user", "item/of")] == [
            len(range(rank, 10, 3)),
            len(range(rank, 100_000, 3)),
        ]


def test_rows_sorted_by_owner_are_the_same_rows() -> None:
    rng = np.random.default_rng(0)
    asked = rng.integers(0, 50, 40)
    unique, places = tf.unique(tf.constant(asked))
    rows, at = by_owner(unique, places, 3)
    np.testing.assert_array_equal(tf.gather(rows, at), asked)
    assert (np.diff(rows.numpy() % 3) >= 0).all()


@pytest.mark.parametrize("before", [1, 2, 3])
@pytest.mark.parametrize("after", [1, 2, 3, 4])
def test_files_of_any_number_of_ranks_are_read_by_any_other(
    before: int, after: int, tmp_path: Path
) -> None:
    rng = np.random.default_rng(1)
    whole = {t.name: rng.normal(size=(t.rows, 3)).astype("f4") for t in CONFIGS}
    for rank in range(before):
        tables = tables_of(rank, before)
        stack = tables.stacks[0]
        for part, variable in enumerate((stack.variable, *stack.slots.values())):
            for table, values in whole.items():
                start, count = stack.held(table)
                mine = tf.IndexedSlices(values[rank::before] + part, tf.range(start, start + count))
                variable.scatter_update(mine)
        write_tables(tables, tmp_path)
    for rank in range(after):
        tables = tables_of(rank, after, seed=5)
        read_tables(tables, tmp_path)
        stack = tables.stacks[0]
        for part, variable in enumerate((stack.variable, *stack.slots.values())):
            for table, values in whole.items():
                start, count = stack.held(table)
                np.testing.assert_array_equal(
                    variable[start : start + count], values[rank::after] + part
                )


def test_replicated_tables_are_written_once(tmp_path: Path) -> None:
    write_tables(tables_of(1, 2, "replicated"), tmp_path)
    assert list(tmp_path.iterdir()) == []
    write_tables(tables_of(0, 2, "replicated"), tmp_path)
    names = sorted(path.name for path in (tmp_path / "item%2Fof").iterdir())
    assert names == [f"{part}-00000-of-00001.npy" for part in ("mean", "mean_square", "values")]
    rows = np.load(tmp_path / "item%2Fof" / "values-00000-of-00001.npy")
    np.testing.assert_array_equal(rows, tables_of(0, 1).rows("item/of"))


def test_missing_damaged_and_other_files_are_refused(tmp_path: Path) -> None:
    for rank in range(2):
        write_tables(tables_of(rank, 2), tmp_path)
    path = tmp_path / "user" / "values-00001-of-00002.npy"
    content = path.read_bytes()
    path.write_bytes(content[:-5])
    with pytest.raises(InputError, match="files must be whole") as raised:
        read_tables(tables_of(0, 1), tmp_path)
    assert str(path) in str(raised.value)
    path.unlink()
    with pytest.raises(InputError, match="1 of 2 files"):
        TableFiles(tmp_path, "user").rows()
    path.write_bytes(content)
    larger = [TableConfig("user", 11, PART, "adam"), CONFIGS[1]]
    with pytest.raises(InputError, match=r"'user' must have 11 rows\. Received: 10"):
        read_tables(EmbeddingTables(larger, {}, 0), tmp_path)
    with pytest.raises(InputError, match="no files of the table 'other'"):
        read_tables(EmbeddingTables([TableConfig("other", 3, PART, "sgd")], {}, 0), tmp_path)
    other = EmbeddingTables([TableConfig(t.name, t.rows, PART, "adagrad") for t in CONFIGS], {}, 0)
    other.build_slots()
    with pytest.raises(InputError, match="no 'accumulator' of the table 'user'"):
        read_tables(other, tmp_path)


def test_bfloat16_rows_come_back_as_they_were(tmp_path: Path) -> None:
    with table_storage(dtype="bfloat16"):
        tables, other = (EmbeddingTables(CONFIGS, {}, seed) for seed in (1, 2))
    write_tables(tables, tmp_path)
    read_tables(other, tmp_path)
    np.testing.assert_array_equal(other.rows("item/of"), tables.rows("item/of"))


def test_tables_that_cannot_fit_are_refused_before_they_are_made(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    page = TableConfig("page", 2_000_000_000, (Part("v", 64, 0.0),), "adam")
    with pytest.raises(InputError, match=r"must fit into this process's memory\. Received: 476"):
        EmbeddingTables([page], {}, 0)
    tables = EmbeddingTables(CONFIGS, {}, 0)
    needed = tables.stacks[0].rows * tables.stacks[0].slot_row_bytes
    monkeypatch.setattr("models.table_stack.available_bytes", lambda ranks: needed)
    with pytest.raises(InputError, match=r"The tables' optimizer slots must fit.*'item/of'"):
        tables.build_slots()
    monkeypatch.setattr("models.table_stack.available_bytes", lambda ranks: 2 * needed)
    tables.build_slots()


def test_ranks_of_one_host_share_its_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    of_rank = tables_of(0, 3).stacks[0]
    needed = of_rank.rows // 3 * of_rank.row_bytes
    monkeypatch.setattr("models.table_stack.available_bytes", lambda ranks: 3 * needed // ranks)
    world = Communicator()
    world.size = 3
    with table_storage(communicator=world, placement=Placement(("sharded",))):
        EmbeddingTables(CONFIGS, {}, 0)  # each on a host of its own
        world.local_size = 3
        with pytest.raises(InputError, match="may take, as one of 3 ranks on its host"):
            EmbeddingTables(CONFIGS, {}, 0)


def test_auto_shards_what_is_large_and_says_why() -> None:
    placement = Placement(("auto", "page=replicated", "word=sharded"), replicate_mib=1.0)
    assert placement.decide("item", 2**18, 4)[0] is False
    assert placement.decide("item", 2**18 + 1, 4) == (
        True,
        "4 copies with slots take 1.0 MiB, above trainer.replicate_mib=1",
    )
    assert placement.decide("page", 2**40, 4) == (False, "trainer.placement says so for 'page'")
    assert placement.decide("word", 1, 4)[0] is True


def test_unknown_placements_and_tables_are_refused() -> None:
    with pytest.raises(InputError, match="must name auto, replicated or sharded"):
        Placement(("split",))
    with pytest.raises(InputError, match=r"trainer\.placement must name tables.*'items'"):
        tables_of(0, 2, "items=sharded")
