"""What a run leaves behind: the best epoch, early stopping, TensorBoard, `metrics.jsonl`."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from configs.base import RunConfig
from configs.overrides import apply_overrides
from configs.registry import build_model, recipe
from data.assemble import PrepareOptions, prepare
from data.dataset import PreparedDataset
from data.errors import InputError
from data.filters import FilterOptions
from data.sources import synthetic
from data.splits import SplitOptions
from models.closed_form import ClosedForm
from models.communicator import Communicator
from trainers.checkpoints import Checkpoints
from trainers.closed_form import solve
from trainers.loop import Trainer
from trainers.ranking_evaluation import RankingEvaluator
from trainers.result import Result
from trainers.schedules import make_dense_optimizer
from trainers.selection import find_monitor, judge
from trainers.train_state import TrainState

MONITOR = "ndcg@10/sampled99"
ONE = Communicator()
FAST = apply_overrides(
    recipe("ncf", "tiny"),
    ["trainer.epochs=40", "trainer.patience=2", "trainer.learning_rate=0.03"],
)


def train(config: RunConfig, data: PreparedDataset, folder: Path) -> TrainState:
    """Trains in this process."""
    folder.mkdir(exist_ok=True)
    model = build_model(config, data)
    return Trainer(config, data, model, folder, ONE).train()


@pytest.fixture(scope="module")
def overfitted(
    synthetic_data: PreparedDataset, tmp_path_factory: pytest.TempPathFactory
) -> tuple[TrainState, Path]:
    """A run that learns so fast that validation soon falls."""
    folder = tmp_path_factory.mktemp("overfitted")
    return train(FAST, synthetic_data, folder), folder


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
    events = EventAccumulator(str(overfitted[1]), size_guidance={"scalars": 0})
    events.Reload()
    wanted = {
        "4_loss_parts/logistic",
        "2_training/gradient_norm/dense",
        "2_training/gradient_norm/tables",
        "2_training/learning_rate/dense",
        "2_training/learning_rate/tables",
        "2_training/examples_per_second",
        f"3_validation/{MONITOR}",
        "3_validation/hr@10/sampled99",
    }
    assert wanted <= set(events.Tags()["scalars"])
    losses = [event.value for event in events.Scalars("1_quality/loss")]
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


def test_a_run_that_has_nothing_left_to_do_writes_no_checkpoint_again(
    synthetic_data: PreparedDataset, tmp_path: Path
) -> None:
    config = apply_overrides(FAST, ["trainer.epochs=1"])
    state = train(config, synthetic_data, tmp_path)
    folder = tmp_path / "checkpoints" / f"step-{state.step:09d}"
    before = folder.stat().st_ino
    assert train(config, synthetic_data, tmp_path).step == state.step
    assert folder.stat().st_ino == before


def test_checkpoints_are_as_many_steps_apart_as_asked(
    synthetic_data: PreparedDataset, tmp_path: Path
) -> None:
    settings = ["epochs=2", "steps_per_call=10", "checkpoint_steps=7", "keep_checkpoints=1000"]
    config = apply_overrides(FAST, [f"trainer.{setting}" for setting in settings])
    last = train(config, synthetic_data, tmp_path).step
    folders = sorted((tmp_path / "checkpoints").glob("step-*"))
    steps = [int(folder.name.removeprefix("step-")) for folder in folders]
    assert steps == sorted({*range(7, last, 7), last // 2, last})  # and at the end of each epoch


def test_a_loss_wins_where_it_is_lower() -> None:
    state = TrainState(step=5)
    for step, value in ((5, 0.7), (9, 0.8), (12, 0.6)):
        state.step = step
        judge(state, "logloss", value)
    assert (state.best_value, state.best_step, state.evaluations_since_best) == (0.6, 12, 0)


def test_auto_monitors_what_suits_the_task() -> None:
    assert find_monitor("auto", ["hr@10/full", "ndcg@10/full"]) == "ndcg@10/full"
    assert find_monitor("auto", ["logloss", "auc"]) == "auc"
    assert find_monitor("auto", ["ndcg@10/full", "ndcg@10/sampled99"]) == "ndcg@10/sampled99"


def test_the_last_epoch_counts_where_no_evaluation_gave_a_number(
    synthetic_data: PreparedDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nothing = Result({MONITOR: float("nan")}, {})
    monkeypatch.setattr(RankingEvaluator, "evaluate", lambda self: nothing)
    state = train(apply_overrides(FAST, ["trainer.epochs=2"]), synthetic_data, tmp_path)
    chosen = json.loads((tmp_path / "best.json").read_text())
    assert chosen == {"checkpoint": f"step-{state.step:09d}", "chosen_by": "last epoch"}
    assert (tmp_path / "checkpoints" / chosen["checkpoint"]).is_dir()


def test_a_model_that_only_recommends_refuses_labels(tmp_path: Path) -> None:
    world = synthetic.SyntheticOptions(users=60, items=60, ratings=1_000, tastes=4)
    labelled = PrepareOptions(
        filters=FilterOptions(label_threshold=3.0), split=SplitOptions(method="random")
    )
    prepare(synthetic.load(world), labelled, tmp_path / "data")
    data, config = PreparedDataset(tmp_path / "data"), recipe("ease", "tiny")
    model = build_model(config, data)
    assert isinstance(model, ClosedForm)
    with pytest.raises(InputError, match="'ease' recommends items and predicts no labels"):
        solve(config, data, model, tmp_path, ONE)


def test_a_value_that_is_not_finite_never_wins() -> None:
    state = TrainState(step=5)
    judge(state, "auc", 0.3)
    state.step = 9
    judge(state, "auc", float("nan"))
    assert (state.best_value, state.best_step, state.evaluations_since_best) == (0.3, 5, 1)


def test_the_monitor_stands_for_however_many_candidates_and_must_be_measured() -> None:
    measured = ["ndcg@10/sampled57", "ndcg@10/full"]
    assert find_monitor("ndcg@10/sampled", measured) == "ndcg@10/sampled57"
    with pytest.raises(InputError, match=r"trainer\.monitor must be a metric") as raised:
        find_monitor("ndcg@5/sampled", measured)
    assert "ndcg@10/full, ndcg@10/sampled57" in str(raised.value)


def test_a_wrong_monitor_is_refused_before_the_first_step(
    synthetic_data: PreparedDataset, tmp_path: Path
) -> None:
    config = apply_overrides(recipe("ncf", "tiny"), ["trainer.monitor=auc"])
    with pytest.raises(InputError, match="must be a metric"):
        Trainer(config, synthetic_data, build_model(config, synthetic_data), tmp_path, ONE)
    assert not (tmp_path / "checkpoints").exists()


def test_a_kill_while_a_checkpoint_is_replaced_loses_nothing(
    overfitted: tuple[TrainState, Path], synthetic_data: PreparedDataset, tmp_path: Path
) -> None:
    shutil.copytree(overfitted[1], tmp_path / "run")
    folder = tmp_path / "run" / "checkpoints"
    newest = sorted(folder.glob("step-*"))[-1]
    newest.rename(folder / f".{newest.name}.replaced-0123456789abcdef")
    for name in (newest.name, "step-000000007"):
        (folder / f".{name}.partial-0123456789abcdef").mkdir()
    model = build_model(FAST, synthetic_data)
    model.prepare_training(make_dense_optimizer(FAST.trainer, 10))
    checkpoints = Checkpoints(tmp_path / "run", 2, ONE)
    state = checkpoints.newest()
    checkpoints.restore(model, state)
    assert state.step == int(newest.name.removeprefix("step-"))
    assert list(folder.glob(".*")) == []
