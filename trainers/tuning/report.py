"""What a study has found, for people."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Mapping, Sequence

import optuna
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState

from configs.differences import short_name, shown_value
from trainers.text_table import text_table
from trainers.tuning.study import (
    EPOCHS,
    ERROR,
    METRIC,
    RECIPE,
    best_trial,
    is_interrupted,
)

_TRIALS_SHOWN = 10
_FAILURES_SHOWN = 3
_FEWEST_TO_COMPARE = 5


def trial_line(study: Study, trial: FrozenTrial) -> str:
    """Returns one line on a trial that has just ended."""
    epochs = trial.user_attrs.get(EPOCHS)
    length = f"{epochs} epochs, " * (epochs is not None) + f"{_seconds(trial)} s"
    if trial.state == TrialState.COMPLETE:
        found = f"validation {trial.value:.4f}"
    elif trial.state == TrialState.PRUNED:
        found = f"pruned at {_last_value(trial):.4f}"
    else:
        found = f"failed: {trial.user_attrs.get(ERROR, 'interrupted')}"
    best = best_trial(study)
    so_far = f"  best {best.value:.4f}, trial {best.number}" if best else ""
    values = " ".join(f"{short_name(k)}={shown_value(v)}" for k, v in trial.params.items())
    what = "the recipe" if RECIPE in trial.user_attrs else values
    return f"trial {trial.number}  {found}, {length}{so_far}  ({what})"


def _last_value(trial: FrozenTrial) -> float:
    return trial.intermediate_values[max(trial.intermediate_values)]


def _seconds(trial: FrozenTrial) -> str:
    return f"{trial.duration.total_seconds():,.0f}" if trial.duration else "?"


def study_table(study: Study, paths: Sequence[str], recipe: Mapping[str, object]) -> str:
    """Returns the best trials as a table, the best first.

    Args:
        study: The study.
        paths: The searched fields.
        recipe: The recipe's own values of those that matter to it, by path.
    """
    done = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    sign = 1.0 if study.direction == StudyDirection.MINIMIZE else -1.0
    done.sort(key=lambda trial: sign * (trial.value or 0.0))
    rows = [["trial", "validation", "epochs", "seconds", *map(short_name, paths)]]
    for trial in done[:_TRIALS_SHOWN]:
        is_recipe = " (the recipe)" if RECIPE in trial.user_attrs else ""
        found = recipe if is_recipe else trial.params
        values = [shown_value(found[path]) if path in found else "-" for path in paths]
        epochs = str(trial.user_attrs.get(EPOCHS, "-"))
        name, value = f"{trial.number}{is_recipe}", f"{trial.value:.4f}"
        rows.append([name, value, epochs, _seconds(trial), *values])
    return text_table(rows)


def study_summary(study: Study) -> list[str]:
    """Returns lines on how trials ended, what mattered, and the best beside the recipe."""
    trials = study.get_trials(deepcopy=False)
    ends = Counter(_end(trial) for trial in trials)
    lines = [f"{len(trials)} trials: " + ", ".join(f"{n} {end}" for end, n in ends.items())]
    errors = Counter(trial.user_attrs[ERROR] for trial in trials if ERROR in trial.user_attrs)
    lines += [f"failed {n} x: {text}" for text, n in errors.most_common(_FAILURES_SHOWN)]
    found = importances(study)
    if found:
        shown = ", ".join(f"{short_name(path)} {share:.2f}" for path, share in found.items())
        lines.append(f"importance for a good result: {shown}")
    best = best_trial(study)
    recipes = [t for t in trials if RECIPE in t.user_attrs and t.state == TrialState.COMPLETE]
    if best:
        before = f"{recipes[0].value:.4f}" if recipes else "unknown"
        lines.append(
            f"validation {best.user_attrs[METRIC]}: {before} of the recipe, {best.value:.4f} of "
            f"trial {best.number}"
        )
    return lines


def _end(trial: FrozenTrial) -> str:
    if is_interrupted(trial):
        return "interrupted"
    return "failed" if trial.state == TrialState.FAIL else trial.state.name.lower()


def importances(study: Study) -> dict[str, float]:
    """Returns each field's share in the good results (PED-ANOVA, Watanabe et al. 2023).

    Nothing where too few trials are complete to say.
    """
    done = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    if len(done) < _FEWEST_TO_COMPARE or len({trial.value for trial in done}) < 2:
        return {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that few trials tell less, as the page on tuning says
        evaluator = optuna.importance.PedAnovaImportanceEvaluator()
        return optuna.importance.get_param_importances(study, evaluator=evaluator)
