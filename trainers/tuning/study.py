"""The study of a tuning in its storage: opened, counted, and mended after a crash."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from data.dataset import PreparedDataset
from data.errors import InputError
from trainers.run_folder import first_difference, is_trained_in
from trainers.tuning.job import TuningJob

# Notes of trials.
RECIPE, RETRY_OF, ERROR = "recipe", "retry_of", "error"
EPOCHS, METRIC = "epochs", "metric"
_SETTINGS = "settings"

_HEARTBEAT_SECONDS = 10
_DEAD_AFTER_SECONDS = 120
_SQLITE_WAIT_SECONDS = 60
_STARTUP_TRIALS = 5  # never pruned, as there is little to compare with
_UNPRUNED_SHARE = 10  # nor is any trial in the first tenth of its epochs


@contextmanager
def experimental() -> Iterator[None]:
    """Lets parts of Optuna be used that it may still change; `setup.py` bounds its version."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        yield


def create_study(job: TuningJob, data: PreparedDataset) -> Study:
    """Opens the study, or creates it with the recipe itself as the first trial.

    Raises:
        InputError: The storage cannot be reached, or holds the study with other settings.
    """
    study = optuna.create_study(
        storage=_storage(job.storage),
        study_name=job.study_name,
        direction="maximize" if job.more_is_better else "minimize",
        load_if_exists=True,
    )
    wanted = json.loads(json.dumps(job.settings(data)))
    saved = study.user_attrs.get(_SETTINGS)
    if saved is None:
        study.set_user_attr(_SETTINGS, wanted)
        study.enqueue_trial(job.recipe_params(), user_attrs={RECIPE: True})
        return study
    for part, value in wanted.items():
        difference = first_difference(part, saved.get(part), value)
        if difference:
            raise InputError(
                "A study goes on with the settings that it was started with",
                received=difference,
                where=f"study '{job.study_name}'",
                action="Use the same settings, or another --study_dir",
            )
    return study


def load_study(job: TuningJob) -> Study:
    """Opens a study that exists."""
    return optuna.load_study(study_name=job.study_name, storage=_storage(job.storage))


def _storage(url: str) -> optuna.storages.RDBStorage:
    is_sqlite = url.startswith("sqlite")
    options = {"connect_args": {"timeout": _SQLITE_WAIT_SECONDS}} if is_sqlite else {}
    optuna.logging.set_verbosity(optuna.logging.ERROR)  # each trial is told of in a line
    try:
        with experimental():
            return optuna.storages.RDBStorage(
                url,
                engine_kwargs=options,
                heartbeat_interval=_HEARTBEAT_SECONDS,
                grace_period=_DEAD_AFTER_SECONDS,
            )
    except Exception as error:  # SQLAlchemy's and each driver's own
        lines = str(error).splitlines() or [""]
        raise InputError(
            "--storage must be the URL of a database that can be reached",
            received=f"{type(error).__name__}: {lines[0]}",
            action="For example sqlite:////data/study.db, or postgresql://host/name with its "
            "driver installed",
        ) from error


def sampler(job: TuningJob, trials: int) -> optuna.samplers.BaseSampler:
    """Returns what proposes the next trial, seeded by how many there have been.

    A process that starts anew must not draw what another has drawn.
    """
    seed = (job.seed * 1_000_003 + trials) % 2**32
    with experimental():
        return optuna.samplers.TPESampler(
            multivariate=True, group=True, constant_liar=True, seed=seed
        )


def pruner(job: TuningJob) -> optuna.pruners.BasePruner:
    """Returns what ends trials below the median of the others at the same epoch."""
    first_pruned = job.config.trainer.epochs // _UNPRUNED_SHARE + 1
    return optuna.pruners.MedianPruner(_STARTUP_TRIALS, n_warmup_steps=first_pruned)


def is_interrupted(trial: FrozenTrial) -> bool:
    """Returns whether a trial ended without a result of its own."""
    return trial.state == TrialState.FAIL and ERROR not in trial.user_attrs


def started(study: Study) -> int:
    """Returns how many of the study's trials are done or running; an interrupted one that is to
    be tried again is neither.
    """
    return sum(
        trial.state != TrialState.WAITING
        and (not is_interrupted(trial) or RETRY_OF in trial.user_attrs)
        for trial in study.get_trials(deepcopy=False)
    )


def retry_interrupted(study: Study, job: TuningJob) -> None:
    """Fails trials whose process has died, and queues each interrupted trial once more.

    To be called in one's `Turn`: a trial may be known to the study before its folder is locked.

    Of trials on this disk the lock on their folder tells; of others Optuna's heartbeat, after
    two minutes.
    """
    with experimental():
        optuna.storages.fail_stale_trials(study)
    folders = job.trial_folders()
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        if trial.number in folders and not is_trained_in(folders[trial.number]):
            study.tell(trial.number, state=TrialState.FAIL, skip_if_finished=True)
    trials = study.get_trials(deepcopy=False)
    retried = {trial.user_attrs.get(RETRY_OF) for trial in trials}
    for trial in trials:
        is_retry = RETRY_OF in trial.user_attrs
        if is_interrupted(trial) and not is_retry and trial.number not in retried:
            notes = {RETRY_OF: trial.number}
            if RECIPE in trial.user_attrs:
                notes[RECIPE] = True
            study.enqueue_trial(trial.params, user_attrs=notes)


def best_trial(study: Study) -> FrozenTrial | None:
    """Returns the best complete trial, if there is one."""
    done = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    return study.best_trial if done else None
