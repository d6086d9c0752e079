"""The training of a model that is solved at once: one checkpoint, of step 0."""

from __future__ import annotations

import time
from pathlib import Path

from configs.base import RunConfig
from data.dataset import PreparedDataset
from data.errors import InputError
from models.closed_form import ClosedForm
from models.communicator import Communicator
from trainers.checkpoints import Checkpoints
from trainers.evaluation import is_click_task
from trainers.train_state import TrainState


def solve(
    config: RunConfig,
    data: PreparedDataset,
    model: ClosedForm,
    model_dir: Path,
    communicator: Communicator,
) -> TrainState:
    """Solves the model on every rank alike; rank 0 writes the checkpoint.

    Raises:
        InputError: The dataset asks for predicted labels, and not for recommendations.
    """
    if is_click_task(data):
        raise InputError(
            f"'{config.model_name}' recommends items and predicts no labels",
            received=f"{data.folder}, whose rows have labels",
            action="Train wide_deep or dlrm on it, or prepare it without --label_threshold",
        )
    started = time.perf_counter()
    model.solve(data, config.trainer.fit_on)
    state = TrainState(seconds=time.perf_counter() - started)
    checkpoints = Checkpoints(model_dir, 1, communicator)
    checkpoints.save(model, state)
    checkpoints.mark_best(state.step, "closed form")
    return state
