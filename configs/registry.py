"""The models by name: adding a model is one line here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import configs.ncf
from configs.base import RunConfig
from data.errors import InputError, nearest
from data.schema import Schema
from models.ncf import NCF
from models.recommender import Recommender


@dataclass(frozen=True)
class Entry:
    """A model and its recipes.

    Attributes:
        model: Builds the model from its config, the schema and a seed.
        recipes: Recipes by name; each has a `default` and a `tiny`.
    """

    model: Callable[..., Recommender]
    recipes: dict[str, Callable[[], RunConfig]]


MODELS: dict[str, Entry] = {
    "ncf": Entry(NCF, configs.ncf.RECIPES),
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


def build_model(config: RunConfig, schema: Schema) -> Recommender:
    """Builds the model of a run, with its initial values."""
    return entry(config.model_name).model(config.model, schema, config.trainer.seed)
