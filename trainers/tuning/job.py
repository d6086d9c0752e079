"""What one tuning is: everything that its processes need to know."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from configs.base import RunConfig
from configs.overrides import field_paths
from configs.results import LOWER_IS_BETTER
from configs.runs import config_to_json
from configs.search import Dimension, applies, space_to_json
from data.dataset import PreparedDataset
from data.errors import InputError
from trainers.evaluation import evaluated_splits

_TRIALS = "trials"


@dataclass(frozen=True)
class TuningJob:
    """One tuning.

    Attributes:
        config: The recipe, with what `--set` fixes; the first trial trains it as it is.
        space: What is searched.
        data_dir: The prepared dataset.
        folder: The study folder: trials, and by default the storage.
        storage: URL of the database that holds the study, under the folder's name.
        trials: Trials of the whole study, over all processes and machines.
        seed: Of the sampler.

    Raises:
        InputError: The monitored metric has no best direction.
    """

    config: RunConfig
    space: tuple[Dimension, ...]
    data_dir: Path
    folder: Path
    storage: str
    trials: int
    seed: int

    def __post_init__(self) -> None:
        """Checks the metric."""
        if self.config.trainer.monitor == "calibration":
            raise InputError(
                "Tuning needs a metric that is the better the higher, or the lower, it is",
                received="trainer.monitor=calibration, which is best at 1",
                action="Set trainer.monitor=logloss",
            )

    @property
    def study_name(self) -> str:
        """Name of the study in its storage."""
        return self.folder.resolve().name

    @property
    def more_is_better(self) -> bool:
        """Whether the best trial is the one with the highest monitored metric."""
        return self.config.trainer.monitor not in LOWER_IS_BETTER

    def trial_folder(self, number: int) -> Path:
        """Returns the run folder of a trial."""
        return self.folder / _TRIALS / f"{number:04d}"

    def trial_folders(self) -> dict[int, Path]:
        """Returns the run folders of trials on this disk, by number."""
        found = (self.folder / _TRIALS).glob("[0-9]*")
        return {int(path.name): path for path in sorted(found)}

    def open_data(self) -> PreparedDataset:
        """Opens the dataset without its test split.

        Raises:
            InputError: It has no validation split that is not trained on.
        """
        data = PreparedDataset(self.data_dir, withheld=("test",))
        fit_on = self.config.trainer.fit_on
        if "validation" not in evaluated_splits(data) or "validation" in fit_on:
            raise InputError(
                "Tuning needs a validation split that is not trained on",
                received=f"trainer.fit_on={','.join(fit_on)} and a dataset with "
                f"{', '.join(sorted(evaluated_splits(data)))}",
                where=data.folder,
                action="Set trainer.fit_on=train, or prepare the dataset with --validation_ratio",
            )
        return data

    def settings(self, data: PreparedDataset) -> dict[str, Any]:
        """Returns as JSON values what must not change while a study goes on."""
        config = config_to_json(self.config)
        del config["recipe"]
        space = {entry.pop("path"): entry for entry in space_to_json(self.space)}
        return {**config, "search": space, "data": data.schema_sha256}

    def recipe_values(self) -> dict[str, Any]:
        """Returns the recipe's own values of the searched fields that matter to it, by path."""
        values = field_paths(self.config)
        return {d.path: values[d.path] for d in self.space if applies(d, values)}

    def recipe_params(self) -> dict[str, float | str]:
        """Returns those that a search may find, as a sampler proposes them."""
        values = self.recipe_values()
        return {
            dimension.path: dimension.proposed(values[dimension.path])
            for dimension in self.space
            if dimension.path in values and dimension.contains(values[dimension.path])
        }
