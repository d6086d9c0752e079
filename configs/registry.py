"""The models by name: adding a model is one line here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import configs.baselines
import configs.bert4rec
import configs.dlrm
import configs.ncf
import configs.vae_cf
import configs.wide_deep
from configs.base import RunConfig
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
    """

    model: Callable[..., Recommender]
    recipes: dict[str, Callable[[], RunConfig]]


MODELS: dict[str, Entry] = {
    "bert4rec": Entry(BERT4Rec, configs.bert4rec.RECIPES),
    "dlrm": Entry(DLRM, configs.dlrm.RECIPES),
    "ncf": Entry(NCF, configs.ncf.RECIPES),
    "vae_cf": Entry(VAECF, configs.vae_cf.RECIPES),
    "wide_deep": Entry(WideDeep, configs.wide_deep.RECIPES),
    "ease": Entry(EASE, configs.baselines.EASE_RECIPES),
    "item_knn": Entry(ItemKNN, configs.baselines.ITEM_KNN_RECIPES),
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
    """Returns a model's recipe by name.

    Raises:
        InputError: No such model or recipe.
    """
    recipes = entry(model).recipes
    if name not in recipes:
        raise InputError(
            f"Model '{model}' must have the recipe",
            received=repr(name),
            action=nearest(name, recipes),
        )
    return recipes[name]()


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
