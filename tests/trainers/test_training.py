"""What a run leaves behind: the best epoch, early stopping, TensorBoard, `metrics.jsonl`."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from configs.base import RunConfig
from configs.overrides import apply_overrides
from configs.registry import build_model, recipe
from data.dataset import PreparedDataset
from data.errors import InputError
from models.communicator import Communicator
from trainers.checkpoints import TrainState
from trainers.loop import Trainer
from trainers.selection import judge

MONITOR = "ndcg@10/sampled99"


def train(config: RunConfig, data: PreparedDataset, folder: Path) -> TrainState:
    """Trains in this process."""
    folder.mkdir(exist_ok=True)
    model = build_model(config, data.schema)
    return Trainer(config, data, model, folder, Communicator()).train()


@pytest.fixture(scope="module")
def overfitted(
    synthetic_data: PreparedDataset, tmp_path_factory: pytest.TempPathFactory
) -> tuple[TrainState, Path]:
    """A run that learns so fast that validation soon falls."""
    config = apply_overrides(
        recipe("ncf", "tiny"),
        ["trainer.epochs=40", "trainer.patience=2", "trainer.learning_rate=0.03"],
    )
    folder = tmp_path_factory.mktemp("overfitted")
    return train(config, synthetic_data, folder), folder


def test_early_stopping_keeps_the_best_epoch_of_validation(
    overfitted: tuple[TrainState, Path],
) -> None:
    state, folder = overfitted
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert len(lines) < 40
    assert {line["split"] for line in lines} == {"validation"}
    values = [line["metrics"][MONITOR] for line in lines]
    best = values.index(max(values))
    assert best == len(values) - 3  # two evaluations without a better one, then the end
    chosen = json.loads((folder / "best.json").read_text())
    assert chosen["checkpoint"] == f"step-{lines[best]['step']:09d}"
    assert (folder / "checkpoints" / chosen["checkpoint"]).is_dir()
    assert state.best_value == pytest.approx(max(values))


def test_tensorboard_shows_losses_metrics_speed_and_rates(
    overfitted: tuple[TrainState, Path],
) -> None:
    events = EventAccumulator(str(overfitted[1]), size_guidance={"tensors": 0})
    events.Reload()
    tags = set(events.Tags()["tensors"])
    wanted = {
        "loss/loss",
        "loss/logistic",
        "gradient_norm/dense",
        "gradient_norm/tables",
        "learning_rate/dense",
        "learning_rate/tables",
        "throughput/examples_per_second",
        f"validation/{MONITOR}",
        "validation/hr@10/sampled99",
    }
    assert wanted <= tags
    losses = [float(tf.make_ndarray(e.tensor_proto)) for e in events.Tensors("loss/loss")]
    assert losses[-1] < 0.8 * losses[0]


def test_with_validation_trained_on_the_last_epoch_counts(
    synthetic_data: PreparedDataset, tmp_path: Path
) -> None:
    base = recipe("ncf", "tiny")
    trainer = replace(base.trainer, fit_on=("train", "validation"), epochs=2, patience=0)
    state = train(replace(base, trainer=trainer), synthetic_data, tmp_path)
    chosen = json.loads((tmp_path / "best.json").read_text())
    assert chosen == {"checkpoint": f"step-{state.step:09d}", "chosen_by": "last epoch"}
    assert not (tmp_path / "metrics.jsonl").exists()


def test_a_value_that_is_not_finite_never_wins() -> None:
    state = TrainState(step=5)
    judge(state, {"a@10/full": 0.3}, "a@10/full")
    state.step = 9
    judge(state, {"a@10/full": float("nan")}, "a@10/full")
    assert (state.best_value, state.best_step, state.evaluations_since_best) == (0.3, 5, 1)


def test_the_monitor_stands_for_however_many_candidates_and_must_be_measured() -> None:
    metrics = {"ndcg@10/sampled57": 0.3, "ndcg@10/full": 0.1}
    assert judge(TrainState(), metrics, "ndcg@10/sampled") == 0.3
    with pytest.raises(InputError, match=r"trainer\.monitor must be a metric") as raised:
        judge(TrainState(), metrics, "ndcg@5/sampled")
    assert "ndcg@10/full, ndcg@10/sampled57" in str(raised.value)
