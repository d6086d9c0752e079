"""The memory plan: live tensors of graphs, bytes by hand, and what a run then takes."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from configs.base import RunConfig
from configs.overrides import apply_overrides
from configs.registry import build_model, recipe
from data.dataset import PreparedDataset
from data.errors import InputError
from data.process_memory import available_bytes
from tests.trainers.hashed_clicks import hashed_clicks
from trainers.planning.input_memory import InputMemory
from trainers.planning.live_memory import live_bytes
from trainers.planning.open_shapes import OpenSizes
from trainers.planning.plan import Plan, check_fits, make_plan
from trainers.planning.unallocated import resident_bytes

_PLAN = """
import json, sys
import models
from configs.overrides import apply_overrides
from configs.registry import recipe
from data.dataset import PreparedDataset
from trainers.allocator import keep_freed_memory
from trainers.planning.plan import make_plan
keep_freed_memory()
config = apply_overrides(recipe(sys.argv[1], "tiny"), sys.argv[3:])
print(make_plan(config, PreparedDataset(sys.argv[2]), 1).rank_bytes)
"""

_ONE_LAYER = ["model.layers=1"]  # half the time to trace


def peak(function: Callable[..., Any], *shapes: tuple[int | None, ...], **sizes: Any) -> float:
    specs = [tf.TensorSpec(shape, tf.float32) for shape in shapes]
    graph = tf.function(function, autograph=False).get_concrete_function(*specs).graph
    return live_bytes(graph, OpenSizes(**sizes))


@pytest.fixture(scope="module")
def wide_data(tmp_path_factory: pytest.TempPathFactory) -> PreparedDataset:
    """Returns clicks with a category of a million ids."""
    return hashed_clicks(tmp_path_factory.mktemp("hashed") / "data", 1_000_000)


def dlrm(*changes: str) -> RunConfig:
    return apply_overrides(recipe("dlrm", "tiny"), ["model.dim=64", *changes])


def test_a_chain_of_elementwise_operations_holds_one_tensor() -> None:
    def chain(a: tf.Tensor) -> tf.Tensor:
        return tf.sqrt(tf.exp(tf.tanh(a)))

    assert peak(chain, (100,)) == 400


def test_a_product_cannot_write_over_its_input() -> None:
    def products(a: tf.Tensor) -> tf.Tensor:
        return tf.matmul(tf.tanh(a), a)

    assert peak(products, (10, 10)) == 800


def test_a_branch_is_held_until_it_is_read() -> None:
    def branch(a: tf.Tensor) -> tf.Tensor:
        kept = tf.tanh(a)
        other = tf.matmul(tf.matmul(kept, a), a)
        return kept + other

    assert peak(branch, (10, 10)) == 3 * 400


def test_a_view_holds_its_source_and_nothing_else() -> None:
    def view(a: tf.Tensor) -> tf.Tensor:
        flat = tf.reshape(tf.tanh(a), [-1])
        return tf.reduce_sum(flat) + tf.reduce_sum(tf.reshape(flat, [20, 5]))

    assert peak(view, (10, 10)) <= 400 + 3 * 4 + 3 * 4  # the sums and their axes
    unread = peak(lambda a: [tf.reshape(tf.tanh(a), [-1]), tf.tanh(a)][1], (10, 10))
    assert unread == 400


def test_functions_are_descended_into() -> None:
    inner = tf.function(lambda a: tf.matmul(tf.matmul(a, a), a), autograph=False)
    assert peak(lambda a: inner(tf.tanh(a)), (10, 10)) == 3 * 400


@pytest.mark.parametrize(("filled", "entries"), [(1.0, 1000), (0.1, 100)])
def test_entries_of_padded_lists_are_bounded_by_what_is_there(filled: float, entries: int) -> None:
    assert peak(lambda a: tf.where(a), (100, 10), filled=filled) == entries * 2 * 8


def test_unique_rows_are_bounded_by_the_table() -> None:
    def vectors(a: tf.Tensor) -> tf.Tensor:
        rows = tf.unique(tf.cast(a, tf.int32)).y
        return tf.gather(tf.zeros([50, 8]), rows)

    # Ids and their places; unique rows and their vectors.
    assert peak(vectors, (1000,), unique=50) == pytest.approx(2 * 4000 + 50 * 4, abs=200)
    more = peak(vectors, (1000,), unique=1000) - 1000 * 8 * 4
    assert more == pytest.approx(1000 * 4, abs=200)


@pytest.mark.parametrize(
    ("optimizer", "slot_row"),
    [("sgd", 0), ("adagrad", 256), ("rowwise_adagrad", 4), ("adam", 512), ("ftrl", 512)],
)
def test_tables_and_slots_are_rows_times_width(
    wide_data: PreparedDataset, optimizer: str, slot_row: int
) -> None:
    (page,) = make_plan(dlrm(f"model.table_optimizer={optimizer}"), wide_data, 1).tables
    assert page.rows == 1_000_002
    assert page.values == page.rows * 64 * 4
    assert page.slots == page.rows * slot_row


def test_bfloat16_tables_take_half_and_their_slots_as_much(wide_data: PreparedDataset) -> None:
    config = dlrm("model.table_optimizer=adagrad", "trainer.table_dtype=bfloat16")
    (page,) = make_plan(config, wide_data, 1).tables
    assert (page.values, page.slots) == (page.rows * 64 * 2, page.rows * 64 * 4)
    assert page.dtype == "bfloat16"


def test_sharded_tables_are_dealt_to_the_ranks(wide_data: PreparedDataset) -> None:
    config = dlrm("model.table_optimizer=adam")  # 732 MiB with slots, which auto shards
    (whole,) = make_plan(config, wide_data, 1).tables
    plan = make_plan(config, wide_data, 3)
    (part,) = plan.tables
    assert (part.rows, part.shards) == (whole.rows, 3)
    assert part.values == pytest.approx(whole.values / 3, rel=1e-5)
    assert part.slots == pytest.approx(whole.slots / 3, rel=1e-5)
    assert f"{part.rows:,} x 64 float32, 1/3" in plan.table()
    assert "trainer.placement=sharded" not in {saving.knob for saving in plan.savings}


def test_nothing_is_allocated(tmp_path: Path) -> None:
    data = hashed_clicks(tmp_path / "data", 2_000_000_000)
    before = resident_bytes()
    plan = make_plan(dlrm("model.table_optimizer=adam"), data, 1)
    assert resident_bytes() - before < 200 * 10**6
    assert plan.rank_bytes > 2_000_000_000 * 64 * 4 * 3


def test_a_plan_that_does_not_fit_is_refused_with_what_helps(wide_data: PreparedDataset) -> None:
    whole = dlrm("model.table_optimizer=adam", "trainer.placement=replicated")
    plan = make_plan(whole, wide_data, 2)
    check_fits(plan, plan.total_bytes)
    with pytest.raises(InputError) as refused:
        check_fits(plan, plan.total_bytes - 2**30)
    message = str(refused.value)
    assert message.startswith("A run must fit into memory. Received: a plan of")
    assert "which is 1.00 GiB more than" in message
    for saved in (
        "model.table_optimizer=rowwise_adagrad saves 0.95 GiB",
        "trainer.table_dtype=bfloat16 saves 0.24 GiB",
        "model.dim=32 saves 0.72 GiB",
        "--ranks=1 saves",
        "trainer.placement=sharded saves 0.72 GiB",
    ):
        assert saved in message
    with pytest.raises(InputError, match="must fit"):
        check_fits(replace(plan, process=available_bytes() * 2), None)


def test_no_advice_is_given_where_none_helps() -> None:
    small = Plan("dlrm", 1, (), dense=0, dense_slots=0, step=0, input=0, drawing=0, process=2**30)
    with pytest.raises(InputError, match=r"there are\. No setting helps much\."):
        check_fits(small, 2**29)


def test_the_table_sums_up(wide_data: PreparedDataset) -> None:
    plan = make_plan(dlrm(), wide_data, 2)
    lines = plan.table().splitlines()
    name = plan.tables[0].name
    assert lines[1].startswith(f"table {name}, 1,000,002 x 64 float32")
    numbers = [float(line.split()[-1].replace(",", "")) for line in lines[1:]]
    assert sum(numbers[:-2]) == pytest.approx(numbers[-2], abs=0.5)
    assert numbers[-1] == pytest.approx(2 * numbers[-2], abs=0.2)


def test_parts_of_a_batch_save_activations(wide_data: PreparedDataset) -> None:
    plain, parts = (
        make_plan(dlrm("model.top=1024,512", f"trainer.accumulate={parts}"), wide_data, 1)
        for parts in (1, 4)
    )
    assert parts.step < plain.step


@pytest.mark.parametrize("model", ["popularity", "ease", "item_knn"])
def test_models_without_steps_are_refused(synthetic_data: PreparedDataset, model: str) -> None:
    with pytest.raises(InputError, match="--plan is for models that are trained by steps"):
        make_plan(recipe(model, "tiny"), synthetic_data, 1)


def test_lists_fill_as_much_as_they_hold(synthetic_data: PreparedDataset) -> None:
    model = build_model(recipe("vae_cf", "tiny"), synthetic_data)
    reading = model.reading(("train",), 64)
    items = synthetic_data.read("histories", "train")["item"]
    mean = float(np.mean(items.lengths))  # type: ignore[union-attr]
    longest = synthetic_data.split("histories", "train").longest["item"]
    filled = InputMemory(synthetic_data, reading, {}).filled
    assert filled == pytest.approx(mean / longest, rel=0.1)


@pytest.mark.parametrize("model", ["dlrm", pytest.param("bert4rec", marks=pytest.mark.long)])
def test_the_prediction_is_what_a_benchmark_takes(
    wide_data: PreparedDataset, synthetic_data: PreparedDataset, tmp_path: Path, model: str
) -> None:
    data = wide_data if model == "dlrm" else synthetic_data
    changes = ["model.dim=64", "model.table_optimizer=adagrad"] if model == "dlrm" else _ONE_LAYER
    planning = [sys.executable, "-c", _PLAN, model, str(data.folder), *changes]
    command = [sys.executable, "-m", "trainers.run", "--mode=benchmark", f"--model={model}"]
    command += ["--recipe=tiny", f"--data_dir={data.folder}", f"--model_dir={tmp_path}"]
    command += ["--benchmark_steps=4", *(f"--set={change}" for change in changes)]
    subprocess.run(command, capture_output=True, check=True)
    predicted = int(subprocess.run(planning, capture_output=True, check=True).stdout)
    measured = json.loads((tmp_path / "benchmark.json").read_text())["peak_bytes"]
    assert predicted == pytest.approx(measured, rel=0.15)


def test_ranks_are_at_least_one(wide_data: PreparedDataset) -> None:
    with pytest.raises(InputError, match="--ranks must be at least 1"):
        make_plan(dlrm(), wide_data, 0)


def test_ranks_multiply(wide_data: PreparedDataset) -> None:
    plan = make_plan(dlrm(), wide_data, 3)
    assert plan.total_bytes == 3 * plan.rank_bytes
