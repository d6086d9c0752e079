"""One trial: a run on the training split, judged on validation, perhaps ended early."""

from __future__ import annotations

import math
from contextlib import redirect_stderr
from dataclasses import dataclass, replace
from pathlib import Path

import optuna
import tensorflow as tf
from optuna.trial import FrozenTrial

from configs.base import RunConfig
from configs.overrides import apply_overrides, as_text, field_paths
from configs.registry import entry
from configs.search import Choice, Dimension, applies
from data.dataset import PreparedDataset
from data.errors import InputError
from models.closed_form import ClosedForm
from models.communicator import Communicator
from trainers.board.writer import open_board
from trainers.evaluation import make_evaluator
from trainers.fitting import Fitted, fit
from trainers.planning.plan import check_fits, make_plan
from trainers.reporting import Reporter
from trainers.run_folder import open_run_folder
from trainers.selection import find_monitor
from trainers.train_state import TrainState
from trainers.tuning.job import TuningJob
from trainers.tuning.progress import Progress
from trainers.tuning.study import EPOCHS, ERROR, METRIC, RECIPE
from trainers.tuning.turn import Turn

LOG_FILE = "log.txt"


class TrialError(Exception):
    """A trial found no result; the study goes on."""


@dataclass(frozen=True)
class Objective:
    """Trains a trial, and returns its monitored metric on validation.

    Attributes:
        job: The tuning.
        data: The dataset, without its test split.
        turn: Ended once the trial's folder is open: the next process may then look around.
    """

    job: TuningJob
    data: PreparedDataset
    turn: Turn

    def __call__(self, trial: optuna.Trial) -> float:
        folder = self.job.trial_folder(trial.number)
        if folder.exists():
            raise InputError(
                "A study folder must hold the trials of one study",
                received=f"trial {trial.number} of another one",
                where=folder,
                action="Choose another --study_dir",
            )
        try:
            config = trial_config(self.job, trial)
            open_run_folder(folder, config, self.data, overwrite=False)
            self.turn.end()
            with (
                (folder / LOG_FILE).open("a", encoding="utf-8") as log,
                redirect_stderr(Progress(log, trial.number)),
            ):
                return _train(config, self.data, folder, trial)
        except (InputError, MemoryError, tf.errors.ResourceExhaustedError) as error:
            trial.set_user_attr(ERROR, next(iter(str(error).splitlines()), type(error).__name__))
            raise TrialError from error


def trial_config(job: TuningJob, trial: optuna.Trial | FrozenTrial) -> RunConfig:
    """Returns the config of a trial: the recipe with the fields that the sampler proposes.

    Raises:
        InputError: They do not go together.
    """
    if RECIPE in trial.user_attrs:
        own = job.recipe_params()  # what the others lack is not to be proposed for it
        for dimension in job.space:
            if dimension.path in own:
                _suggest(trial, dimension)
        return job.config
    values, proposed = field_paths(job.config), []
    for dimension in job.space:
        if applies(dimension, values):
            values[dimension.path] = _suggest(trial, dimension)
            proposed.append(f"{dimension.path}={as_text(values[dimension.path])}")
    return apply_overrides(job.config, proposed)


def _suggest(trial: optuna.Trial | FrozenTrial, dimension: Dimension) -> float | str:
    if isinstance(dimension, Choice):
        return str(trial.suggest_categorical(dimension.path, dimension.ends()))
    path, low, high, log = dimension.path, dimension.low, dimension.high, dimension.is_log
    if dimension.type is int:
        return trial.suggest_int(path, int(low), int(high), log=log)
    return trial.suggest_float(path, low, high, log=log)


def _train(config: RunConfig, data: PreparedDataset, folder: Path, trial: optuna.Trial) -> float:
    alone = Communicator()
    is_solved = _is_solved_at_once(config)
    if not is_solved:
        check_fits(make_plan(config, data))

    def after_evaluation(state: TrainState, monitor: str, value: float) -> None:
        trial.set_user_attr(EPOCHS, state.epoch)
        trial.set_user_attr(METRIC, monitor)
        if math.isfinite(value):
            trial.report(value, state.epoch)
            may_be_cut_short = (
                state.epoch < config.trainer.epochs and RECIPE not in trial.user_attrs
            )
            if may_be_cut_short and trial.should_prune():
                raise optuna.TrialPruned

    fitted = fit(config, data, folder, alone, after_evaluation=after_evaluation)
    value = fitted.state.best_value
    if is_solved:
        monitor, value = _validate(fitted, config, data, folder)
        trial.set_user_attr(METRIC, monitor)
    if not math.isfinite(value):
        raise InputError("The monitored metric must be finite", received="none in any epoch")
    return value


def _is_solved_at_once(config: RunConfig) -> bool:
    model = entry(config.model_name).model
    return isinstance(model, type) and issubclass(model, ClosedForm)


def _validate(
    fitted: Fitted, config: RunConfig, data: PreparedDataset, folder: Path
) -> tuple[str, float]:
    """Returns the monitored metric on validation, by name and value."""
    settings = config.evaluation
    evaluator = make_evaluator(
        fitted.model, data, "validation", settings, settings.validation_protocols
    )
    metrics = evaluator.evaluate().metrics
    monitor = find_monitor(config.trainer.monitor, evaluator.metric_names())
    state = replace(fitted.state, best_value=metrics[monitor])
    reporter = Reporter(folder, 0, 0, open_board(folder, config, monitor, ranks=1))
    reporter.validation(state, monitor, metrics)
    reporter.close()
    return monitor, metrics[monitor]
