"""How the settings of a run differ from those of its recipe, for people."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from configs.overrides import as_text
from configs.registry import MODELS, recipe
from configs.runs import config_to_json

_SHOWN = 4


def compared_recipe(config: Mapping[str, Any]) -> str:
    """Returns the recipe that a run is compared with: `default` where its own was a file."""
    known = MODELS[config["model_name"]].recipes
    return str(config["recipe"]) if config["recipe"] in known else "default"


def from_recipe(
    config: Mapping[str, Any], parts: Iterable[str] = ("model", "trainer", "evaluation")
) -> dict[str, Any]:
    """Returns the settings that are not the recipe's, by path such as `model.dim`.

    Args:
        config: The content of `config.json`. What is no model of this version, or a field that its
            recipe does not have, counts as no difference.
        parts: Parts of the config to look at.
    """
    if config["model_name"] not in MODELS:
        return {}
    base = config_to_json(recipe(config["model_name"], compared_recipe(config)))
    return {
        f"{part}.{field}": value
        for part in parts
        for field, value in config[part].items()
        if field in base[part] and base[part][field] != value
    }


def short_settings(settings: Mapping[str, Any]) -> str:
    """Returns settings as `variant=sasrec epochs=30 and 2 more`."""
    shown = [f"{short_name(path)}={shown_value(value)}" for path, value in settings.items()]
    more = len(shown[_SHOWN:])
    return " ".join(shown[:_SHOWN]) + f" and {more} more" * bool(more)


def short_name(path: str) -> str:
    """Returns a field's name without `model.` or `trainer.`."""
    return path.rpartition(".")[2]


def shown_value(value: Any) -> str:
    """Returns a value with the digits that tell it from others."""
    return f"{value:.4g}" if isinstance(value, float) else as_text(value) or "none"
