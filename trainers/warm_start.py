"""A warm start: the weights of a finished run, in a model of a dataset that has grown."""

from __future__ import annotations

from pathlib import Path

from configs.base import RunConfig
from configs.runs import TrainedRun, best_checkpoint, load_run
from data.dataset import PreparedDataset
from data.errors import InputError
from data.schema import Feature
from models.closed_form import ClosedForm
from models.recommender import Recommender
from models.saving import TABLES
from models.table_transfer import transfer_rows


def warm_start(model: Recommender, config: RunConfig, data: PreparedDataset) -> str:
    """Sets a model's weights, and its tables' optimizer slots, to those of `trainer.warm_start`.

    The dense optimizer starts anew. Rows of new ids keep their initial values, which depend on the
    seed, the table and the row alone.

    Args:
        model: Freshly built.
        config: The resolved config.
        data: The dataset that it was built for.

    Returns:
        What was taken over, for people.

    Raises:
        InputError: No such run, one of another model, or a dataset whose vocabularies do not begin
            with those of the run's.
    """
    run = load_run(Path(config.trainer.warm_start), None, model.tables.communicator)
    if run.config.model_name != config.model_name or isinstance(model, ClosedForm):
        raise InputError(
            "A warm start needs a run of the same model, trained in steps",
            received=f"{run.config.model_name} for {config.model_name}",
            where=run.folder,
        )
    known = _known_ids(run, data)
    model.tables.build_slots()
    old, new = run.model.tables.configs, model.tables.configs
    copied = transfer_rows(best_checkpoint(run.folder) / TABLES, old, model.tables, known)
    model.tables.updates.assign(run.model.tables.updates)
    _assign_dense(run, model)
    added = {name: new[name].rows - rows for name, rows in copied.items()}
    grown = ", ".join(f"{name} +{rows:,}" for name, rows in added.items() if rows)
    return (
        f"warm start from {run.folder}: {sum(copied.values()):,} rows of {len(copied)} tables; "
        f"new rows: {grown or 'none'}"
    )


def _known_ids(run: TrainedRun, data: PreparedDataset) -> dict[str, int]:
    """Returns the ids that the run knows, by table whose feature has a vocabulary."""
    features = {feature.name: feature for feature in data.schema.features}
    known = {}
    for feature in run.data.schema.features:
        if feature.vocabulary is None or feature.name not in features:
            continue
        _check_goes_on(feature, run, data)
        known[feature.name] = run.data.schema.cardinality(feature.name)
    # Tables are called after a feature, or PART/FEATURE.
    named = {table: table.rpartition("/")[2] for table in run.model.tables.configs}
    return {table: known[name] for table, name in named.items() if name in known}


def _check_goes_on(feature: Feature, run: TrainedRun, data: PreparedDataset) -> None:
    before, now = run.data.raw_ids(feature.name), data.raw_ids(feature.name)
    if len(now) < len(before) or (now[: len(before)] != before).any():
        raise InputError(
            f"The vocabulary of '{feature.name}' must begin with that of the run to start from",
            received="another order, or fewer ids",
            where=f"{data.folder}, and {run.data.folder}",
            action="Prepare the new data with data.prepare --append=" + str(run.data.folder),
        )


def _assign_dense(run: TrainedRun, model: Recommender) -> None:
    ours, theirs = model.trainable_variables, run.model.trainable_variables
    shapes = [[tuple(w.shape) for w in weights] for weights in (ours, theirs)]
    if shapes[0] != shapes[1]:
        raise InputError(
            "A warm start needs dense weights of the same shapes",
            received="others: such as those of an output for each item, which has grown",
            where=run.folder,
            action="Use its model settings; a model with an output layer of items starts anew",
        )
    for mine, other in zip(ours, theirs, strict=True):
        mine.assign(other)
