"""Starting a model from runs that were trained before."""

from __future__ import annotations

from configs.base import RunConfig
from configs.runs import load_run
from data.dataset import PreparedDataset
from data.errors import InputError
from models.recommender import Recommender


def adopt_pretrained(model: Recommender, config: RunConfig, data: PreparedDataset) -> None:
    """Sets the parts of a model that its config takes from trained runs.

    Raises:
        InputError: Such a run is missing, was trained on another dataset, or has seen the
            validation split that this one chooses by.
    """
    for name, folder in model.pretrained_runs().items():
        trained = load_run(folder, None, model.tables.communicator)
        if trained.data.schema_sha256 != data.schema_sha256:
            raise InputError(
                f"The pretrained {name} must come from the same dataset",
                received=f"{trained.data.folder}, and {data.folder} to train on",
                where=folder,
                action=f"Train {name} on {data.folder}",
            )
        leaked = set(trained.config.trainer.fit_on) - set(config.trainer.fit_on)
        if leaked:
            raise InputError(
                f"The pretrained {name} must not have seen the split that chooses the epoch",
                received=f"trainer.fit_on={trained.config.trainer.fit_on}",
                where=folder,
                action="Train it with --set=trainer.fit_on=train, or fit this run on both",
            )
        model.adopt(name, trained.model)
