"""Tuning: the best is found, bad trials end early or are told of, and test is never read."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest
import tensorflow as tf
from optuna.trial import TrialState
from tensorboard.plugins.hparams import metadata

from configs.overrides import apply_overrides
from configs.registry import build_model, recipe
from configs.search import Choice, LogUniform
from data.dataset import PreparedDataset
from data.errors import InputError
from models.communicator import Communicator
from trainers import reporting
from trainers.closed_form import solve
from trainers.evaluation import make_evaluator
from trainers.planning import plan
from trainers.tuning import progress
from trainers.tuning.job import TuningJob
from trainers.tuning.next_trial import next_trial
from trainers.tuning.report import importances, study_table
from trainers.tuning.search import report
from trainers.tuning.study import create_study, retry_interrupted, sampler, started
from trainers.tuning.trial import trial_config
from trainers.tuning.workers import Crew

USELESS, GOOD = 1e-9, 0.005
RATES = Choice("trainer.learning_rate", (USELESS, GOOD))
DISTRIBUTIONS: dict[str, optuna.distributions.BaseDistribution] = {
    RATES.path: optuna.distributions.CategoricalDistribution(RATES.ends())
}
pytestmark = [
    # SQLite's connections are closed when the garbage collector comes to them.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    # `study.ask` stands for a process that dies without a heartbeat.
    pytest.mark.filterwarnings("ignore:Heartbeat of storage:UserWarning"),
]


@pytest.fixture(scope="module")
def data(synthetic_data: PreparedDataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns a dataset whose test split cannot be read."""
    folder = tmp_path_factory.mktemp("tuned") / "data"
    shutil.copytree(synthetic_data.folder, folder)
    for view in ("rows", "histories"):
        for path in map(Path, synthetic_data.paths(view, "test")):
            spoilt = folder / path.relative_to(synthetic_data.folder)
            spoilt.write_bytes(b"\0" * path.stat().st_size)
    return folder


@pytest.fixture
def make_job(data: Path, tmp_path: Path) -> Callable[..., TuningJob]:
    """Returns a function that makes a tuning, by default of matrix factorisation in two epochs."""

    def make(*changes: str, model: str = "ncf", space: Any = (RATES,), **more: Any) -> TuningJob:
        config = recipe(model, "tiny")
        if model == "ncf":
            config = apply_overrides(config, ["model.variant=mf", "trainer.epochs=2"])
        return TuningJob(
            **{
                "config": apply_overrides(config, changes),
                "space": space,
                "data_dir": data,
                "folder": tmp_path / "study",
                "storage": f"sqlite:///{tmp_path / 'study.db'}",
                "trials": 3,
                "seed": 1,
                **more,
            }
        )

    return make


def open_study(job: TuningJob) -> optuna.Study:
    job.folder.mkdir(exist_ok=True)
    return create_study(job, job.open_data())


def test_the_rate_that_learns_is_found_without_reading_test(
    make_job: Callable[..., TuningJob], data: Path
) -> None:
    job = make_job(f"trainer.learning_rate={USELESS}")
    study = open_study(job)
    for _ in range(job.trials + 1):  # once more than there are trials
        next_trial(job)
    values = {t.params[RATES.path]: t.value or 0.0 for t in study.get_trials()}
    assert len(study.get_trials()) == job.trials
    assert study.trials[0].params == {RATES.path: str(USELESS)}  # the recipe itself
    assert study.best_params == {RATES.path: str(GOOD)}
    assert values[str(GOOD)] > 1.2 * values[str(USELESS)]

    with_weights = [path.parent.name for path in job.folder.glob("trials/*/checkpoints")]
    assert with_weights == [f"{study.best_trial.number:04d}"]
    text = report(job, job.open_data(), study)
    assert f"{values[str(USELESS)]:.4f} of the recipe, {study.best_value:.4f} of trial" in text
    found = recipe("ncf", str(job.folder / "best.yaml"))
    assert found.trainer == replace(job.config.trainer, learning_rate=GOOD)
    assert (found.model, found.evaluation) == (job.config.model, job.config.evaluation)
    assert f"--recipe={job.folder / 'best.yaml'} --data_dir={data}" in text.splitlines()[-1]
    assert hparams_of(job.trial_folder(0))[RATES.path] == USELESS
    with pytest.raises(InputError, match="withheld"):
        job.open_data().read("histories", "test")
    with pytest.raises(InputError, match="checksum"):
        PreparedDataset(data).read("histories", "test")


def hparams_of(folder: Path) -> dict[str, float]:
    """Reads back what TensorBoard's HParams tab shows of a run."""
    for file in folder.glob("events*"):
        for event in tf.compat.v1.train.summary_iterator(str(file)):
            for value in event.summary.value:
                if value.tag == metadata.SESSION_START_INFO_TAG:
                    content = value.metadata.plugin_data.content
                    hparams = metadata.parse_session_start_info_plugin_data(content).hparams
                    return {name: shown.number_value for name, shown in hparams.items()}
    return {}


def test_a_metric_that_is_best_at_1_cannot_be_tuned_by(make_job: Callable[..., TuningJob]) -> None:
    with pytest.raises(InputError, match=r"calibration, which is best at 1.*monitor=logloss"):
        make_job("trainer.monitor=calibration")


def test_a_trial_below_the_median_ends_early(make_job: Callable[..., TuningJob]) -> None:
    job = make_job("trainer.epochs=3", trials=7)
    study = open_study(job)
    study.tell(study.ask(), 0.9)  # the recipe, which is never pruned
    for _ in range(5):
        study.add_trial(
            optuna.trial.create_trial(
                params={RATES.path: str(GOOD)},
                distributions={
                    RATES.path: optuna.distributions.CategoricalDistribution(RATES.ends())
                },
                intermediate_values={1: 0.99, 2: 0.99, 3: 0.99},
                value=0.99,
            )
        )
    next_trial(job)
    ended = study.get_trials()[-1]
    assert (ended.state, ended.user_attrs["epochs"]) == (TrialState.PRUNED, 1)
    assert not (job.trial_folder(ended.number) / "checkpoints").exists()
    assert importances(study) == {RATES.path: 1.0}


def test_a_long_trial_tells_where_it_is(
    make_job: Callable[..., TuningJob],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(reporting, "_SECONDS_BETWEEN_LINES", 0.0)
    job = make_job("trainer.steps_per_call=2", trials=2)
    open_study(job)
    next_trial(job)
    brief = capsys.readouterr().out.splitlines()
    assert len(brief) == 1  # of seconds, of which nobody need be told before it ends
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", 0.0)
    next_trial(job)
    *lines, end = capsys.readouterr().out.splitlines()
    assert all(line.startswith("trial 1  epoch ") for line in lines)
    assert end.startswith("trial 1  validation ")
    steps = [line for line in lines if line.endswith(" left")]
    assert re.search(r"epoch 1/2  step \d+/\d+  loss .* \d\d:\d\d left$", steps[0])
    assert re.search(r"epoch 2/2  step .* best 0\.\d{4}  \d\d:\d\d left$", steps[-1])
    log = (job.trial_folder(1) / "log.txt").read_text()
    assert all(line.removeprefix("trial 1  ") in log for line in lines)


def test_what_another_variant_ignores_is_not_searched_for_it(
    make_job: Callable[..., TuningJob],
) -> None:
    variants = Choice("model.variant", ("gmf", "mlp"))
    widths = Choice("model.gmf_dim", (8, 32), when={"model.variant": ("gmf",)})
    job = make_job("model.variant=mlp", space=(variants, widths))
    study = open_study(job)
    study.sampler = sampler(job, 0)
    seen: dict[str, set[int]] = {"gmf": set(), "mlp": set()}
    for _ in range(12):
        trial = study.ask()
        config = trial_config(job, trial)
        seen[config.model.variant].add(config.model.gmf_dim)
        assert ("model.gmf_dim" in trial.params) == (config.model.variant == "gmf")
        study.tell(trial, 0.1)
    assert seen == {"gmf": {8, 32}, "mlp": {job.config.model.gmf_dim}}
    paths = [dimension.path for dimension in job.space]
    table = study_table(study, paths, job.recipe_values()).splitlines()
    head, *rows = (row.split() for row in table)
    assert head[-2:] == ["variant", "gmf_dim"]
    assert {(row[-2], row[-1] == "-") for row in rows} == {("gmf", False), ("mlp", True)}


def test_a_trial_that_diverges_or_does_not_fit_is_told_of(
    make_job: Callable[..., TuningJob], monkeypatch: pytest.MonkeyPatch
) -> None:
    space = (Choice("trainer.learning_rate", (1e30, 1e31)),)
    job = make_job("trainer.learning_rate=1e30", space=space)
    study = open_study(job)
    next_trial(job)
    assert "must stay finite" in study.get_trials()[0].user_attrs["error"]
    other = optuna.trial.create_trial(state=TrialState.FAIL, user_attrs={"error": "another"})
    study.add_trial(other)
    monkeypatch.setattr(plan, "available_bytes", lambda: 2**20)
    with pytest.raises(InputError, match=r"Some trial must find a result.*3 that all failed"):
        next_trial(job)
    assert "A run must fit into memory" in study.get_trials()[2].user_attrs["error"]
    text = report(job, job.open_data(), study)
    assert "3 trials: 3 failed" in text
    assert "there is no best recipe" in text
    assert started(study) == 3


def test_a_trial_whose_process_died_is_tried_once_more(make_job: Callable[..., TuningJob]) -> None:
    job = make_job(model="item_knn", space=(LogUniform("model.shrinkage", 1.0, 100.0),))
    study = open_study(job)

    def die(number: int) -> None:
        study.ask({"model.shrinkage": optuna.distributions.FloatDistribution(1, 100, log=True)})
        job.trial_folder(number).mkdir(parents=True)
        (job.trial_folder(number) / ".lock").touch()
        retry_interrupted(study, job)

    die(0)
    assert (len(study.trials), started(study)) == (2, 0)
    assert study.trials[1].state == TrialState.WAITING
    die(1)
    assert (len(study.trials), started(study)) == (2, 1)  # twice is enough
    assert study.trials[1].params == study.trials[0].params == {"model.shrinkage": 10.0}
    next_trial(job)
    next_trial(job)
    states = [trial.state for trial in study.get_trials()]
    assert states == [TrialState.FAIL] * 2 + [TrialState.COMPLETE] * 2
    text = report(job, job.open_data(), study)
    assert "2 interrupted, 2 complete" in text


def test_a_solved_model_is_judged_on_validation(
    make_job: Callable[..., TuningJob], synthetic_data: PreparedDataset
) -> None:
    job = make_job(model="item_knn", space=(Choice("model.neighbours", (1, 20)),), trials=1)
    study = open_study(job)
    next_trial(job)

    model = build_model(job.config, synthetic_data)
    solve(job.config, synthetic_data, model, job.folder / "by_hand", Communicator())
    evaluation = job.config.evaluation
    evaluator = make_evaluator(model, synthetic_data, "validation", evaluation, ("sampled",))
    assert study.best_value == evaluator.evaluate().metrics["ndcg@10/sampled99"]


def test_the_least_logloss_is_the_best(make_job: Callable[..., TuningJob]) -> None:
    job = make_job("trainer.monitor=logloss")
    study = open_study(job)
    for value in (0.5, 0.3, 0.4):
        trial = optuna.trial.create_trial(
            params={RATES.path: str(GOOD)}, distributions=DISTRIBUTIONS, value=value
        )
        study.add_trial(trial)
    rows = study_table(study, [RATES.path], job.recipe_values()).splitlines()[1:]
    assert [row.split()[1] for row in rows] == ["0.3000", "0.4000", "0.5000"]


def test_what_does_not_suit_a_study_is_refused(
    make_job: Callable[..., TuningJob], tmp_path: Path
) -> None:
    job = make_job()
    open_study(job)
    with pytest.raises(InputError, match=r"model\.gmf_dim=8, started with 16"):
        open_study(make_job("model.gmf_dim=8"))
    with pytest.raises(InputError, match=r"search\.model\.dropout"):
        open_study(make_job(space=(RATES, Choice("model.dropout", (0.0, 0.1)))))
    open_study(make_job(trials=30, seed=2))  # which may change
    with pytest.raises(InputError, match="validation split that is not trained on"):
        make_job("trainer.fit_on=train,validation").open_data()
    (job.trial_folder(0)).mkdir(parents=True)
    with pytest.raises(InputError, match=r"trials of one study.*0000"):
        next_trial(job)


@pytest.mark.parametrize(
    "storage", ["study.db", "sqlite:////no/such/folder/study.db", "nosuchdb://host/name"]
)
def test_a_storage_that_cannot_be_reached_is_refused(
    storage: str, make_job: Callable[..., TuningJob]
) -> None:
    with pytest.raises(InputError, match="--storage must be the URL of a database"):
        open_study(make_job(storage=storage))


def test_processes_that_die_one_after_the_other_end_the_tuning(
    make_job: Callable[..., TuningJob], capsys: pytest.CaptureFixture[str]
) -> None:
    crew = Crew(make_job(), 2)
    crew.take_note(-9)
    assert "was killed by signal 9" in capsys.readouterr().err
    crew.take_note(0)
    crew.take_note(-9)
    crew.take_note(1)
    with pytest.raises(InputError, match="3 in a row that did not; the last one was killed by"):
        crew.take_note(-11)


def test_proposals_are_repeatable_and_new_in_each_process(
    make_job: Callable[..., TuningJob],
) -> None:
    space = (LogUniform("trainer.learning_rate", 1e-4, 1e-1),)
    job = make_job(space=space)
    study = open_study(job)

    def proposed(count: int, seed: int = 1) -> float:
        study.sampler = sampler(replace(job, seed=seed), count)
        return study.ask().suggest_float(RATES.path, 1e-4, 1e-1, log=True)

    study.ask()  # the recipe's own
    first = proposed(1)
    assert first == proposed(1)
    assert len({first, proposed(2), proposed(1, seed=2)}) == 3


def test_machines_that_share_a_database_share_the_trials(
    make_job: Callable[..., TuningJob], tmp_path: Path
) -> None:
    here = make_job(model="item_knn", space=(LogUniform("model.shrinkage", 1.0, 100.0),))
    there = replace(here, folder=tmp_path / "other_disk" / "study")
    there.folder.mkdir(parents=True)
    study = open_study(here)
    study.ask()  # one that runs on a third machine
    for job in (here, there, here):
        next_trial(job)
    assert [trial.state for trial in study.get_trials()] == [
        TrialState.RUNNING,
        TrialState.COMPLETE,
        TrialState.COMPLETE,
    ]
    assert [path.name for path in here.trial_folders().values()] == ["0001"]
    assert [path.name for path in there.trial_folders().values()] == ["0002"]
    elsewhere = replace(make_job(model="item_knn"), space=(RATES,), folder=there.folder)
    with pytest.raises(InputError, match="A study goes on with the settings"):
        open_study(elsewhere)
