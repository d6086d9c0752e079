"""The models by name: adding a model is one line here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import configs.baselines
import configs.bert4rec
import configs.dlrm
import configs.ncf
import configs.vae_cf
import configs.wide_deep
from configs.base import RunConfig
from configs.overrides import apply_overrides
from configs.recipe_file import is_recipe_file, read_recipe_file
from configs.search import Dimension
from data.dataset import PreparedDataset
from data.errors import InputError, nearest
from models.bert4rec import BERT4Rec
from models.communicator import Communicator
from models.dlrm import DLRM
from models.ease import EASE
from models.item_knn import ItemKNN
from models.ncf import NCF
from models.placement import Placement
from models.popularity import Popularity
from models.recommender import Recommender
from models.table_storage import table_storage
from models.vae_cf import VAECF
from models.wide_deep import WideDeep


@dataclass(frozen=True)
class Entry:
    """A model and its recipes.

    Attributes:
        model: Builds the model from its config, the prepared dataset and a seed.
        recipes: Recipes by name; each has a `default` and a `tiny`.
        search: What `trainers.tune` searches where it is told nothing else.
    """

    model: Callable[..., Recommender]
    recipes: dict[str, Callable[[], RunConfig]]
    search: tuple[Dimension, ...] = ()


MODELS: dict[str, Entry] = {
    "bert4rec": Entry(BERT4Rec, configs.bert4rec.RECIPES, configs.bert4rec.SEARCH),
    "dlrm": Entry(DLRM, configs.dlrm.RECIPES, configs.dlrm.SEARCH),
    "ncf": Entry(NCF, configs.ncf.RECIPES, configs.ncf.SEARCH),
    "vae_cf": Entry(VAECF, configs.vae_cf.RECIPES, configs.vae_cf.SEARCH),
    "wide_deep": Entry(WideDeep, configs.wide_deep.RECIPES, configs.wide_deep.SEARCH),
    "ease": Entry(EASE, configs.baselines.EASE_RECIPES, configs.baselines.EASE_SEARCH),
    "item_knn": Entry(
        ItemKNN, configs.baselines.ITEM_KNN_RECIPES, configs.baselines.ITEM_KNN_SEARCH
    ),
    "popularity": Entry(Popularity, configs.baselines.POPULARITY_RECIPES),
}


def entry(name: str) -> Entry:
    """Returns the entry of the model called `name`.

    Raises:
        InputError: No such model.
    """
    if name not in MODELS:
        raise InputError(
            "The model must be registered", received=repr(name), action=nearest(name, MODELS)
        )
    return MODELS[name]


def recipe(model: str, name: str) -> RunConfig:
    """Returns a model's recipe by name, or from a file such as `best.yaml`.

    Raises:
        InputError: No such model or recipe, or a file that is no recipe of the model.
    """
    recipes = entry(model).recipes
    if is_recipe_file(name):
        return _recipe_of_file(model, Path(name))
    if name not in recipes:
        raise InputError(
            f"Model '{model}' must have the recipe",
            received=repr(name),
            action=nearest(name, recipes),
        )
    return recipes[name]()


def _recipe_of_file(model: str, path: Path) -> RunConfig:
    found = read_recipe_file(path)
    if found.model != model:
        raise InputError(
            "The recipe must be one of the model",
            received=f"--model={model} and model: {found.model}",
            where=path,
            action=f"Give --model={found.model}",
        )
    try:
        config = apply_overrides(recipe(model, found.recipe), found.assignments)
    except InputError as error:
        raise InputError.of_message(f"In {path}: {error}") from error
    return replace(config, recipe=path.name)


def build_model(
    config: RunConfig, data: PreparedDataset, communicator: Communicator | None = None
) -> Recommender:
    """Builds the model of a run, with its initial values.

    Args:
        config: The run.
        data: The prepared dataset.
        communicator: The ranks over which large tables are sharded; by default this process has
            all of them.
    """
    trainer = config.trainer
    with table_storage(
        dtype=trainer.table_dtype,
        communicator=communicator or Communicator(),
        placement=Placement(trainer.placement, trainer.replicate_mib),
    ):
        return entry(config.model_name).model(config.model, data, trainer.seed)
