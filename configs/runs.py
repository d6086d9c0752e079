"""Run folders: `config.json` and the checkpoint to use, for all that comes after training."""

from __future__ import annotations

import dataclasses
import json
import typing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from configs.base import EvaluationConfig, RunConfig, TrainerConfig
from configs.registry import build_model, recipe
from data.dataset import PreparedDataset
from data.errors import InputError, nearest
from models.checksums import damage
from models.communicator import Communicator
from models.recommender import Recommender
from models.saving import load_dense, load_weights
from models.table_storage import table_storage

CONFIG_FILE = "config.json"
BEST_FILE = "best.json"
CHECKPOINTS = "checkpoints"


@dataclass(frozen=True)
class TrainedRun:
    """A run with its model restored from the best checkpoint, ready to score.

    Attributes:
        folder: The run folder.
        config: The resolved config.
        data: The dataset that it was trained on.
        model: The model with its weights, without optimizer slots.
        step: Training step of the weights.
    """

    folder: Path
    config: RunConfig
    data: PreparedDataset
    model: Recommender
    step: int


def config_from_json(value: dict[str, Any], where: Path) -> RunConfig:
    """Builds a config from the content of `config.json`.

    Raises:
        InputError: A field that this version does not know.
    """
    model_type = type(recipe(value["model_name"], "default").model)
    return RunConfig(
        model_name=value["model_name"],
        recipe=value["recipe"],
        model=_build(model_type, value["model"], where),
        trainer=_build(TrainerConfig, value["trainer"], where),
        evaluation=_build(EvaluationConfig, value["evaluation"], where),
    )


def _build(kind: Any, value: dict[str, Any], where: Path) -> Any:
    hints = typing.get_type_hints(kind)
    for name in value:
        if name not in hints:
            raise InputError(
                f"{kind.__name__} must know each field of the config",
                received=repr(name),
                where=where,
                action=nearest(name, hints),
            )
    return kind(**{name: tuple(v) if isinstance(v, list) else v for name, v in value.items()})


def config_to_json(config: RunConfig) -> dict[str, Any]:
    """Returns the config as JSON values."""
    return typing.cast(dict[str, Any], json.loads(json.dumps(dataclasses.asdict(config))))


def read_config_file(model_dir: Path) -> dict[str, Any]:
    """Reads `config.json` of a run folder.

    Raises:
        InputError: No run there, or a damaged one.
    """
    path = model_dir / CONFIG_FILE
    if not path.is_file():
        runs = sorted(config.parent for config in model_dir.glob(f"*/{CONFIG_FILE}"))
        train = f"Train one: python -m trainers.run --model=... --model_dir={model_dir}"
        raise InputError(
            "A run folder must hold a config.json",
            received=model_dir if model_dir.exists() else f"{model_dir}, which does not exist",
            action=f"Give a run in it, such as {runs[0]}, or all: {model_dir}/*" if runs else train,
        )
    return _read_json(path)


def _read_json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(
            "A run folder's files must be as they were written",
            received=error,
            where=path,
            action="Put the file back from a copy",
        ) from error
    return typing.cast(dict[str, Any], value)


def best_checkpoint(model_dir: Path) -> Path:
    """Returns the checkpoint chosen on validation, or the last where none was chosen.

    Raises:
        InputError: The run has no such checkpoint.
    """
    best = model_dir / BEST_FILE
    if best.is_file():
        return model_dir / CHECKPOINTS / _read_json(best)["checkpoint"]
    raise InputError(
        "The run must be finished",
        received=f"no {BEST_FILE}",
        where=model_dir,
        action="Run the training command again; it goes on from the last checkpoint",
    )


def load_run(
    model_dir: Path | str,
    data_dir: Path | str | None = None,
    communicator: Communicator | None = None,
) -> TrainedRun:
    """Loads a finished run.

    Args:
        model_dir: The run folder.
        data_dir: The dataset, where it has moved since.
        communicator: Ranks that shall share its large tables; by default this process has all.

    Raises:
        InputError: The run or its dataset is missing, unfinished, or changed since training.
    """
    folder = Path(model_dir)
    config, data = _config_and_data(folder, data_dir)
    return _restored(folder, config, data, communicator)


def load_without_rows(model_dir: Path | str) -> TrainedRun:
    """Loads the dense weights of a finished run, and its tables without a single row.

    Raises:
        InputError: As `load_run` does.
    """
    folder = Path(model_dir)
    config, data = _config_and_data(folder, None)
    with table_storage(holds_rows=False):
        model = build_model(config, data)
    checkpoint = best_checkpoint(folder)
    load_dense(model, checkpoint)
    return TrainedRun(folder, config, data, model, _step_of(checkpoint))


def _config_and_data(
    folder: Path, data_dir: Path | str | None
) -> tuple[RunConfig, PreparedDataset]:
    saved = read_config_file(folder)
    config = config_from_json(saved, folder / CONFIG_FILE)
    data = PreparedDataset(data_dir or saved["data"]["folder"])
    if data.schema_sha256 != saved["data"]["schema_sha256"]:
        raise InputError(
            "The dataset must be the one that the run was trained on",
            received=f"another schema.json in {data.folder}",
            where=folder / CONFIG_FILE,
            action="Pass the folder of the original dataset, or train again",
        )
    return config, data


def in_bfloat16(run: TrainedRun) -> TrainedRun:
    """Returns a run with its embedding tables rounded to bfloat16; those of FTRL stay as they are.

    They are read from the checkpoint again.
    """
    trainer = dataclasses.replace(run.config.trainer, table_dtype="bfloat16")
    config = dataclasses.replace(run.config, trainer=trainer)
    return _restored(run.folder, config, run.data, None)


def _restored(
    folder: Path, config: RunConfig, data: PreparedDataset, communicator: Communicator | None
) -> TrainedRun:
    with table_storage(draws=False):  # every row is read
        model = build_model(config, data, communicator)
    checkpoint = best_checkpoint(folder)
    _check_whole(checkpoint, model.tables.communicator)
    load_weights(model, checkpoint)
    return TrainedRun(folder, config, data, model, _step_of(checkpoint))


def _step_of(checkpoint: Path) -> int:
    return int(checkpoint.name.rpartition("-")[2])


def _check_whole(checkpoint: Path, communicator: Communicator) -> None:
    found = damage(checkpoint, communicator.rank, communicator.size)
    if found:
        raise InputError(
            "The checkpoint to use must be as it was written",
            received=found,
            where=checkpoint,
            action="Put it back from a copy; or delete metrics.json and give the training command "
            "again, which goes on from a checkpoint before it",
        )
