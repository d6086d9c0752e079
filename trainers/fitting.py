"""A model built and trained in an open run folder, whatever its kind."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from configs.base import RunConfig
from configs.registry import build_model
from configs.runs import CHECKPOINTS
from data.dataset import PreparedDataset
from models.closed_form import ClosedForm
from models.communicator import Communicator
from models.recommender import Recommender
from trainers.announcements import what_is_trained
from trainers.closed_form import solve
from trainers.loop import AfterEvaluation, Trainer
from trainers.placements import placement_table
from trainers.precision import precision
from trainers.pretrained import adopt_pretrained
from trainers.profiling import Profiler
from trainers.train_state import TrainState
from trainers.warm_start import warm_start


@dataclass(frozen=True)
class Fitted:
    """A trained model.

    Attributes:
        model: The model, with the weights of its last step.
        state: Where training ended.
        rows: Rows of all steps, over all ranks; 0 of a model that is solved at once.
    """

    model: Recommender
    state: TrainState
    rows: int


def fit(
    config: RunConfig,
    data: PreparedDataset,
    model_dir: Path,
    communicator: Communicator,
    profile_steps: tuple[int, int] | None = None,
    after_evaluation: AfterEvaluation | None = None,
) -> Fitted:
    """Builds and trains a model, from the newest checkpoint of the run folder if there is one.

    Args:
        config: The resolved config.
        data: The prepared dataset.
        model_dir: The run folder, opened by `open_run_folder`.
        communicator: The ranks.
        profile_steps: First and last step to profile.
        after_evaluation: As `Trainer` takes it; not called of a model that is solved at once.
    """
    if communicator.rank == 0:
        print(what_is_trained(config, data, model_dir), file=sys.stderr)
    with precision(config.trainer.mixed_precision):
        model = build_model(config, data, communicator)
    if not any((model_dir / CHECKPOINTS).glob("step-*")):  # which hold all that was adopted
        adopt_pretrained(model, config, data)
        taken_over = warm_start(model, config, data) if config.trainer.warm_start else ""
        if taken_over and communicator.rank == 0:
            print(taken_over, file=sys.stderr)
    if communicator.rank == 0 and communicator.size > 1:
        print(placement_table(model), file=sys.stderr)
    if isinstance(model, ClosedForm):
        return Fitted(model, solve(config, data, model, model_dir, communicator), 0)
    profiler = Profiler(model_dir, profile_steps)
    trainer = Trainer(config, data, model, model_dir, communicator, profiler, after_evaluation)
    state = trainer.train()
    return Fitted(model, state, trainer.rows_trained)
