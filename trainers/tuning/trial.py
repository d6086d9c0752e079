"""One trial: a run on the training split, judged on validation, perhaps ended early."""

from __future__ import annotations

import math
import shutil
import sys
from contextlib import redirect_stderr
from dataclasses import dataclass
from pathlib import Path

import optuna
import tensorflow as tf
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from configs.base import RunConfig
from configs.overrides import apply_overrides, as_text, field_paths
from configs.registry import entry
from configs.runs import BEST_FILE, CHECKPOINTS
from configs.search import Choice, Dimension
from data.dataset import PreparedDataset
from data.errors import InputError
from models.closed_form import ClosedForm
from models.communicator import Communicator
from trainers.checkpoints import TrainState
from trainers.evaluation import make_evaluator
from trainers.fitting import Fitted, fit
from trainers.planning.plan import check_fits, make_plan
from trainers.reporting import Reporter
from trainers.run_folder import open_run_folder, unlock_run_folder
from trainers.selection import find_monitor
from trainers.tuning.hparams import write_hparams
from trainers.tuning.job import TuningJob
from trainers.tuning.report import trial_line
from trainers.tuning.study import (
    EPOCHS,
    ERROR,
    METRIC,
    RECIPE,
    best_trial,
    load_study,
    pruner,
    retry_interrupted,
    sampler,
    started,
)
from trainers.tuning.turn import Turn

LOG_FILE = "log.txt"
_MOST_FAILURES_AT_FIRST = 3


class TrialError(Exception):
    """A trial found no result; the study goes on."""


def next_trial(job: TuningJob) -> None:
    """Trains the next trial of a study, if one is left to start.

    Raises:
        InputError: What no other trial can do better.
        StoppedError: SIGTERM came.
    """
    data = job.open_data()
    turn = Turn(job.folder)
    try:
        study = load_study(job, pruner=pruner(job))
        retry_interrupted(study, job)
        if started(study) >= job.trials:
            return
        study.sampler = sampler(job, len(study.get_trials(deepcopy=False)))
        study.optimize(
            _Objective(job, data, turn), n_trials=1, catch=(TrialError,), callbacks=[_tell]
        )
    finally:
        turn.end()
        unlock_run_folder()
    turn = Turn(job.folder)
    try:
        _keep_best_checkpoint(study, job)
    finally:
        turn.end()
    _check_that_some_trial_works(study)


@dataclass(frozen=True)
class _Objective:
    """Trains a trial, and returns its monitored metric on validation."""

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
            values = field_paths(config)
            shown = {d.path: _shown(values[d.path]) for d in self.job.space}
            write_hparams(folder, shown)
            with (folder / LOG_FILE).open("a", encoding="utf-8") as log, redirect_stderr(log):
                return _train(config, self.data, folder, trial)
        except (InputError, tf.errors.ResourceExhaustedError) as error:
            trial.set_user_attr(ERROR, str(error).split("\n", 1)[0])
            raise TrialError from error


def trial_config(job: TuningJob, trial: optuna.Trial | FrozenTrial) -> RunConfig:
    """Returns the config of a trial: the recipe with the fields that the sampler proposes.

    Raises:
        InputError: They do not go together.
    """
    is_recipe = RECIPE in trial.user_attrs
    own = job.recipe_params()  # what the others lack is not to be proposed for it
    dimensions = [d for d in job.space if not is_recipe or d.path in own]
    proposed = [f"{d.path}={as_text(_suggest(trial, d))}" for d in dimensions]
    return job.config if is_recipe else apply_overrides(job.config, proposed)


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
            if RECIPE not in trial.user_attrs and trial.should_prune():
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
    reporter = Reporter(folder, total_steps=0, silent=False)
    reporter.evaluation(0, "validation", metrics)
    reporter.close()
    monitor = find_monitor(config.trainer.monitor, evaluator.metric_names())
    return monitor, metrics[monitor]


def _shown(value: object) -> float | str:
    return value if isinstance(value, int | float) else as_text(value)


def _tell(study: Study, trial: FrozenTrial) -> None:
    print(trial_line(study, trial), file=sys.stderr, flush=True)


def _keep_best_checkpoint(study: Study, job: TuningJob) -> None:
    """Deletes the weights of all finished trials on this disk but the best."""
    best, folders = best_trial(study), job.trial_folders()
    for trial in study.get_trials(deepcopy=False):
        is_best = best is not None and trial.number == best.number
        if trial.state.is_finished() and trial.number in folders and not is_best:
            folder = folders[trial.number]
            (folder / BEST_FILE).unlink(missing_ok=True)
            shutil.rmtree(folder / CHECKPOINTS, ignore_errors=True)


def _check_that_some_trial_works(study: Study) -> None:
    trials = study.get_trials(deepcopy=False)
    failures = [t.user_attrs[ERROR] for t in trials if ERROR in t.user_attrs]
    good = [t for t in trials if t.state in (TrialState.COMPLETE, TrialState.PRUNED)]
    if not good and len(failures) >= _MOST_FAILURES_AT_FIRST:
        raise InputError(
            "Some trial must find a result",
            received=f"{len(failures)} that all failed, the last one so: {failures[-1]}",
            where=f"study '{study.study_name}'",
        )
