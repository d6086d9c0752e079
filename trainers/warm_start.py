"""A warm start: the weights of a finished run, in a model of another dataset."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from configs.base import RunConfig
from configs.overrides import as_text, field_paths
from configs.runs import TrainedRun, best_checkpoint, load_without_rows
from data.dataset import PreparedDataset
from data.errors import InputError
from data.feature import Feature
from data.renumbering import Renumbering, renumber_all
from data.schema import FIRST_ID
from models.click_model import ClickModel
from models.closed_form import ClosedForm
from models.dense_transfer import transfer_dense
from models.recommender import Recommender
from models.saving import TABLES
from models.table_transfer import transfer_rows
from trainers.other_data import check_columns


def warm_start(model: Recommender, config: RunConfig, data: PreparedDataset) -> str:
    """Sets a model's weights, and its tables' optimizer slots, to those of `trainer.warm_start`.

    What belongs to an id is moved by raw id, so vocabularies may have grown, shrunk or changed
    their order. What belongs to new ids keeps its initial values. The dense optimizer starts anew:
    its count of steps is also the place in the learning rate's schedule, which is the new run's.

    Args:
        model: Freshly built.
        config: The resolved config.
        data: The dataset that it was built for.

    Returns:
        What was taken over, for people: a table by feature.

    Raises:
        InputError: No such run, one of another model or of other settings, or a dataset of other
            columns.
    """
    if isinstance(model, ClosedForm):
        raise InputError(
            "A warm start needs a model that is trained in steps",
            received=f"{config.model_name}, which is solved from the data in one go",
            action="Train it without --warm_start",
        )
    run = load_without_rows(config.trainer.warm_start)
    _check_alike(model, config, data, run)
    ids = renumber_all(run.data, data)
    old = run.model.tables.configs
    # Tables are called after a feature, or PART/FEATURE.
    named = {table: table.rpartition("/")[2] for table in old}
    of_tables = {table: ids[name] for table, name in named.items() if name in ids}
    model.tables.build_slots()
    try:
        anew = transfer_rows(best_checkpoint(run.folder) / TABLES, old, model.tables, of_tables)
        transfer_dense(model, run.model, ids)
    except InputError as error:
        _explain(error, config, run)
        raise
    model.tables.updates.assign(run.model.tables.updates)
    used = {name: ids[name] for name in ids if name in named.values() or _is_output(model, name)}
    return "\n".join(
        [
            f"warm start from {run.folder}, step {run.step:,}; rows moved by raw id:",
            *_table(used),
            *_notes(model, run, data, anew),
        ]
    )


def _check_alike(
    model: Recommender, config: RunConfig, data: PreparedDataset, run: TrainedRun
) -> None:
    if run.config.model_name != config.model_name:
        raise InputError(
            "A warm start needs a run of the same model",
            received=f"{run.config.model_name} for {config.model_name}",
            where=run.folder,
            action="Start from a run of that model, or train without --warm_start",
        )
    check_columns(run, data)
    if _numbers(model) != _numbers(run.model):
        raise InputError(
            "A warm start needs a model with the same numbers as inputs",
            received=f"{', '.join(_numbers(model))}, trained {', '.join(_numbers(run.model))}",
            where="model.exclude",
            action="Use the model settings of the run to start from",
        )


def _explain(error: InputError, config: RunConfig, run: TrainedRun) -> None:
    """Raises what explains that weights do not go over, where the models have other settings."""
    ours, theirs = (field_paths(of) for of in (config, run.config))
    differing = [p for p in ours if p.startswith("model.") and ours[p] != theirs[p]]
    if differing:
        found = [f"{p}={as_text(ours[p])}, trained with {as_text(theirs[p])}" for p in differing]
        flags = [f"--set={path}={as_text(theirs[path])}" for path in differing]
        raise InputError(
            "A warm start needs a model with the settings of the run to start from",
            received="; ".join(found),
            where=run.folder,
            action=f"Give {' '.join(flags)}, or train without --warm_start",
        ) from error


def _is_output(model: Recommender, feature: str) -> bool:
    return any(axis.feature == feature for axis in model.id_axes())


def _table(ids: Mapping[str, Renumbering]) -> list[str]:
    width = max(map(len, ("feature", *ids)))
    lines = [f"{'feature':<{width}}{'kept':>12}{'new':>12}{'dropped':>12}{'kept of all':>13}"]
    for name, found in ids.items():
        share = found.kept / max(1, found.cardinality - FIRST_ID)
        counts = "".join(f"{count:>12,}" for count in (found.kept, found.new, found.dropped))
        lines.append(f"{name:<{width}}{counts}{share:>13.1%}")
    return lines


def _notes(
    model: Recommender, run: TrainedRun, data: PreparedDataset, anew: Collection[str]
) -> list[str]:
    """Returns what else a reader must know."""
    notes = []
    if anew:
        tables = ", ".join(sorted(anew))
        notes.append(f"initial values, as there is another number of rows: {tables}")
    schemas = run.data.schema, data.schema
    refitted = [
        n for n in _numbers(model) if len({_fitted(schema.feature(n)) for schema in schemas}) > 1
    ]
    if refitted:
        notes.append(f"fitted anew, so that old rows score otherwise: {', '.join(refitted)}")
    return notes


def _numbers(model: Recommender) -> tuple[str, ...]:
    return model.features.numbers if isinstance(model, ClickModel) else ()


def _fitted(feature: Feature) -> tuple[object, ...]:
    return feature.statistics, feature.transforms, feature.boundaries
