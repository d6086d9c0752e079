"""Typed overrides, recipes, and configs that survive `config.json`."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from configs.overrides import apply_overrides
from configs.registry import MODELS, recipe
from configs.runs import config_from_json, config_to_json
from data.errors import InputError

RECIPES = [(model, name) for model, entry in MODELS.items() for name in entry.recipes]


def test_values_take_the_type_of_their_field() -> None:
    config = apply_overrides(
        recipe("ncf", "tiny"),
        [
            "model.hidden=64, 32",
            "model.gmf_l2=1e-3",
            "model.allow_positives=yes",
            "model.variant=mlp",
            "model.pretrained_alpha=1",
            "trainer.epochs=7",
            "trainer.fit_on=train,validation",
            "trainer.patience=0",
            "evaluation.ks=(5)",
        ],
    )
    assert config.model.hidden == (64, 32)
    assert config.model.gmf_l2 == 0.001
    assert config.model.allow_positives is True
    assert config.model.variant == "mlp"
    assert isinstance(config.model.pretrained_alpha, float)
    assert config.trainer.epochs == 7
    assert config.trainer.fit_on == ("train", "validation")
    assert config.evaluation.ks == (5,)


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("model.gmf_dims=3", "existing field.*'model.gmf_dims'.*model.gmf_dim"),
        ("trainer.epoch=3", "existing field.*trainer.epochs"),
        ("model=3", "existing field"),
        ("trainer.epochs", "form path=value.*--set=trainer.epochs=3"),
        ("trainer.epochs=2.5", "trainer.epochs must be a value of type int.*'2.5'"),
        ("model.gmf_l2=much", "model.gmf_l2 must be a value of type float"),
        ("trainer.xla=maybe", "trainer.xla must be true or false.*'maybe'"),
        ("model.variant=nmf", "model.variant must be 'neumf' or 'gmf'"),
        ("model.hidden=64,wide", "model.hidden must be a value of type int.*'wide'"),
        ("trainer.epochs=0", "trainer.epochs must be at least 1"),
    ],
)
def test_a_wrong_override_says_what_is_right(assignment: str, message: str) -> None:
    with pytest.raises(InputError) as raised:
        apply_overrides(recipe("ncf", "tiny"), [assignment])
    assert re.search(message, str(raised.value).replace("\n", " "))


def test_overrides_are_checked_together_and_not_one_by_one() -> None:
    config = apply_overrides(
        recipe("ncf", "default"), ["trainer.fit_on=train,validation", "trainer.patience=0"]
    )
    assert config.trainer.fit_on == ("train", "validation")
    with pytest.raises(InputError, match="Early stopping needs a validation split"):
        apply_overrides(recipe("ncf", "default"), ["trainer.fit_on=train,validation"])


@pytest.mark.parametrize(("model", "name"), RECIPES)
def test_every_recipe_explains_itself_and_survives_its_file(model: str, name: str) -> None:
    assert MODELS[model].recipes[name].__doc__
    config = recipe(model, name)
    assert (config.model_name, config.recipe) == (model, name)
    assert config_from_json(config_to_json(config), Path("config.json")) == config


def test_a_field_that_this_version_does_not_know_is_refused() -> None:
    saved = config_to_json(recipe("ncf", "tiny"))
    saved["trainer"]["epoch"] = 3
    with pytest.raises(InputError, match="must know each field") as raised:
        config_from_json(saved, Path("RUN/config.json"))
    assert "'epoch'" in str(raised.value)
    assert "RUN/config.json" in str(raised.value)


def test_unknown_models_and_recipes_name_the_nearest() -> None:
    with pytest.raises(InputError, match="'ncf'"):
        recipe("ncff", "tiny")
    with pytest.raises(InputError, match="'tiny'"):
        recipe("ncf", "tiney")
