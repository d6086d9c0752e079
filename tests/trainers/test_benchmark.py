"""The benchmark mode: counts from graphs, verdicts, and the command."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from configs.base import TrainerConfig
from configs.overrides import apply_overrides
from configs.registry import build_model, recipe
from data.dataset import PreparedDataset
from data.errors import InputError
from models.communicator import Communicator
from tests.commands import run_module
from trainers.operation_cost import operation_cost
from trainers.profiling import Profiler, parse_profile_steps
from trainers.steps import Steps
from trainers.verdict import Shares, verdict


def test_products_count_two_operations_a_multiplication() -> None:
    left, right = tf.ones([5, 3]), tf.ones([5, 7])
    cost = operation_cost(lambda: tf.matmul(left, right, transpose_a=True))
    assert cost.flops == 2 * 3 * 5 * 7
    assert cost.moved == 4 * (5 * 3 + 5 * 7 + 3 * 7)
    batched, others = tf.ones([4, 5, 3]), tf.ones([4, 7, 3])
    cost = operation_cost(lambda: tf.matmul(batched, others, transpose_b=True))
    assert cost.flops == 2 * 4 * 3 * 5 * 7


def test_called_functions_count_and_views_move_nothing() -> None:
    inner = tf.function(lambda a: tf.matmul(a, a), jit_compile=True)
    values = tf.ones([36])
    cost = operation_cost(lambda: inner(tf.reshape(values, [6, 6])))
    assert cost.flops == 2 * 6**3
    assert cost.moved == 4 * 3 * 36
    assert not tf.config.functions_run_eagerly()


def test_gradients_of_a_product_cost_twice_as_much() -> None:
    left, right = tf.ones([5, 3]), tf.ones([3, 7])

    def gradients() -> list[tf.Tensor]:
        with tf.GradientTape() as tape:
            tape.watch((left, right))
            loss = tf.reduce_sum(tf.square(tf.matmul(left, right)))
        return tape.gradient(loss, (left, right))

    assert operation_cost(gradients).flops == 3 * 2 * 3 * 5 * 7


def test_what_follows_from_values_counts_as_much_as_it_is() -> None:
    values = tf.constant([[1.0, 0.0, 2.0], [0.0, 3.0, 0.0]])

    @tf.function
    def of_present() -> tf.Tensor:
        present = tf.boolean_mask(values, values > 0)[:, None]  # (3, 1)
        return tf.matmul(present, tf.ones([1, 5]))

    assert operation_cost(of_present).flops == 2 * 3 * 1 * 5


def flops_of_a_step(model: str, data: PreparedDataset, xla: bool, *settings: str) -> float:
    trainer = TrainerConfig(batch_size=64, epochs=1, xla=xla)
    config = apply_overrides(recipe(model, "tiny"), list(settings))
    steps = Steps(trainer, data, build_model(config, data), Communicator())
    batch = next(iter(steps.batches(0)))
    looked_up = steps.training_step.look_up(batch)
    return operation_cost(lambda: steps.training_step.gradients(batch, looked_up)).flops


@pytest.mark.parametrize("model", ["ncf", "vae_cf", "dlrm", "wide_deep"])
def test_a_step_costs_the_same_however_it_is_compiled(
    model: str, synthetic_data: PreparedDataset
) -> None:
    plain = flops_of_a_step(model, synthetic_data, xla=False)
    # XLA pads the batch's unique rows of items, whose share of NCF's first layer is computed.
    assert plain <= flops_of_a_step(model, synthetic_data, xla=True) < 1.5 * plain


def test_padding_counts_where_it_is_computed(synthetic_data: PreparedDataset) -> None:
    slots = "model.max_length=200"  # of which histories fill a small part
    plain = flops_of_a_step("bert4rec", synthetic_data, False, slots)
    assert plain < 0.7 * flops_of_a_step("bert4rec", synthetic_data, True, slots)


@pytest.mark.parametrize(
    ("times", "of_matmul", "said"),
    [
        ([6, 1, 2, 1], 0.1, "Input limits this run (60% of a step): the pipeline"),
        ([0, 3, 2, 5], 0.1, "Table traffic limits this run (80% of a step): narrower"),
        (
            [0, 1, 8, 1],
            0.9,
            "Arithmetic limits this run (80% of a step): the dense part runs at 90",
        ),
        ([0, 1, 8, 1], 0.1, "Overhead of small operations in the dense part limits this run (80%"),
    ],
)
def test_the_verdict_names_what_takes_most(times: list[float], of_matmul: float, said: str) -> None:
    sentence = verdict(Shares.of(np.array([times])), of_matmul, TrainerConfig())
    assert sentence.startswith(said)


def test_the_verdict_does_not_advise_what_is_done_already() -> None:
    shares = Shares.of(np.array([[0, 1, 8, 1]]))
    config = TrainerConfig(xla=True, mixed_precision="bfloat16")
    assert "xla" not in verdict(shares, 0.1, config)
    assert "bfloat16" not in verdict(shares, 0.9, config)


@pytest.mark.parametrize("text", ["5", "0,3", "7,3", "a,b", "1,2,3"])
def test_bad_profile_steps_are_refused(text: str) -> None:
    with pytest.raises(InputError, match="--profile_steps must be a first and a last step"):
        parse_profile_steps(text.split(","))


def test_a_profile_holds_the_steps_asked_for(tmp_path: Path) -> None:
    profiler = Profiler(tmp_path, parse_profile_steps(["3", "4"]))
    for step in range(10):
        profiler.after(step)
        tf.matmul(tf.ones([4, 4]), tf.ones([4, 4]), name=f"product_{step}")
        assert profiler._is_on == (step in (2, 3))
    assert len(list(tmp_path.rglob("*.xplane.pb"))) == 1


def test_python_gets_a_small_share_of_short_steps(synthetic_data: PreparedDataset) -> None:
    config = recipe("ncf", "tiny")
    model = build_model(config, synthetic_data)
    trainer = TrainerConfig(batch_size=64, epochs=1)
    steps = Steps(trainer, synthetic_data, model, Communicator())
    counts = [call.count for call in steps.epoch(0)]
    assert counts[:3] == [1, 1, 1]
    assert max(counts) > 3
    assert sum(counts) == steps.per_epoch


def test_the_command_prints_and_writes_what_it_measured(
    synthetic_data: PreparedDataset, tmp_path: Path
) -> None:
    command = ["trainers.run", "--mode=benchmark", "--model=dlrm"]
    command += ["--recipe=tiny", f"--data_dir={synthetic_data.folder}", "--benchmark_steps=12"]
    done = run_module(*command, f"--model_dir={tmp_path}")
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "benchmark.json").read_text())
    assert sum(found["shares"].values()) == pytest.approx(1.0)
    assert found["steps"] >= 12
    assert 0 < found["share_of_matmul"] < 1.2
    assert found["flops_per_example"] > 0
    assert found["step_ms"]["p50"] <= found["step_ms"]["p90"] <= found["step_ms"]["p99"]
    assert found["peak_bytes"] > 2**28
    assert re.search(r"^examples/s +[\d,]+$", done.stdout, re.MULTILINE)
    assert found["verdict"] in done.stdout
    assert not (tmp_path / "checkpoints").exists()


def test_a_model_without_steps_is_refused(synthetic_data: PreparedDataset) -> None:
    command = ["trainers.run", "--mode=benchmark", "--model=popularity"]
    done = run_module(*command, f"--data_dir={synthetic_data.folder}")
    assert done.returncode == 2
    assert "--mode=benchmark times training steps" in done.stderr
