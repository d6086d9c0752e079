"""The next trial of a study: found, trained, and tidied up after."""

from __future__ import annotations

import shutil

from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from configs.runs import BEST_FILE, CHECKPOINTS
from data.errors import InputError
from trainers.run_folder import unlock_run_folder
from trainers.tuning.job import TuningJob
from trainers.tuning.report import trial_line
from trainers.tuning.study import (
    ERROR,
    best_trial,
    load_study,
    pruner,
    retry_interrupted,
    sampler,
    started,
)
from trainers.tuning.trial import Objective, TrialError
from trainers.tuning.turn import Turn

_MOST_FAILURES_AT_FIRST = 3


def next_trial(job: TuningJob) -> None:
    """Trains the next trial of a study, if one is left to start.

    Raises:
        InputError: What no other trial can do better.
        StoppedError: SIGTERM came.
    """
    data = job.open_data()
    study = load_study(job)
    try:
        with Turn(job.folder) as turn:
            retry_interrupted(study, job)
            if started(study) >= job.trials:
                return
            study.sampler = sampler(job, len(study.get_trials(deepcopy=False)))
            study.pruner = pruner(job)
            objective = Objective(job, data, turn)
            study.optimize(objective, n_trials=1, catch=(TrialError,), callbacks=[_tell])
    finally:
        unlock_run_folder()  # once the study knows how the trial has ended
    with Turn(job.folder):
        _keep_best_checkpoint(study, job)
    _check_that_some_trial_works(study)


def _tell(study: Study, trial: FrozenTrial) -> None:
    print(trial_line(study, trial), flush=True)


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
