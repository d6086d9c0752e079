"""A tuning from its first trial to the recipe that it finds."""

from __future__ import annotations

import shlex
from pathlib import Path

from optuna.study import Study
from optuna.trial import FrozenTrial

from configs.recipe_file import recipe_text
from configs.registry import entry, recipe
from data.atomic import write_text
from data.dataset import PreparedDataset
from data.errors import InputError
from trainers.tuning.job import TuningJob
from trainers.tuning.report import study_summary, study_table
from trainers.tuning.study import METRIC, best_trial, create_study, started
from trainers.tuning.trial import trial_config
from trainers.tuning.workers import run_trials

RECIPE_FILE = "best.yaml"


def search(job: TuningJob, workers: int, minutes: float | None) -> str:
    """Trains the trials that the study still lacks, and writes the best recipe.

    Args:
        job: The tuning.
        workers: Trials at a time on this machine.
        minutes: Time after which no trial is started; None for no limit.

    Returns:
        The report: the best trials, what mattered, and the command that trains the best recipe.

    Raises:
        InputError: The dataset, the study or its storage do not suit, or no trial works.
        StoppedError: SIGTERM came.
    """
    data = job.open_data()
    try:
        job.folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            "--study_dir must be a folder that can be written", received=error
        ) from error
    study = create_study(job, data)
    run_trials(job, study, workers, minutes)
    return report(job, data, study)


def report(job: TuningJob, data: PreparedDataset, study: Study) -> str:
    """Returns the report of a study, and writes its best recipe."""
    lines = study_summary(study)
    missing = job.trials - started(study)
    if missing > 0:
        lines.append(f"{missing} trials are still to be trained: the same command goes on")
    best = best_trial(study)
    if best is None:
        return "\n".join([*lines, "No trial is complete, so there is no best recipe"])
    path = _write_recipe(job, data, study, best)
    command = [
        f"--model={job.config.model_name}",
        f"--recipe={path}",
        f"--data_dir={job.data_dir}",
        f"--model_dir={job.folder / 'best'}",
    ]
    train = f"Train it, and read test once:\npython -m trainers.run {shlex.join(command)}"
    paths = [dimension.path for dimension in job.space]
    return "\n".join([study_table(study, paths, job.recipe_values()), *lines, train])


def _write_recipe(job: TuningJob, data: PreparedDataset, study: Study, best: FrozenTrial) -> Path:
    name = job.config.recipe  # of a file where that is what was tuned
    known = entry(job.config.model_name).recipes
    base = recipe(job.config.model_name, name if name in known else "default")
    comment = (
        f"Trial {best.number} of {len(study.get_trials(deepcopy=False))} by trainers.tune on "
        f"{data.schema.name}: validation {best.user_attrs[METRIC]} {best.value:.4f}"
    )
    path = job.folder / RECIPE_FILE
    write_text(path, recipe_text(trial_config(job, best), base, [comment]))
    return path
