"""A recipe in a file: a registered one with some fields changed.

    model: ncf
    recipe: default
    set:
      model.hidden: [128, 64]
      trainer.learning_rate: 0.003

Values are read as `--set` reads them. `trainers.run --model=ncf --recipe=best.yaml` takes it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from configs.base import RunConfig
from configs.overrides import as_text, field_paths
from data.errors import InputError
from data.spec.yaml_text import block, check_keys, read_yaml

_EXAMPLE = "docs/tuning.md"


@dataclass(frozen=True)
class RecipeFile:
    """What a recipe file says.

    Attributes:
        model: Name of the model.
        recipe: Name of the registered recipe to start from.
        assignments: Fields to change, each `path=value`.
    """

    model: str
    recipe: str
    assignments: tuple[str, ...]


def is_recipe_file(name: str) -> bool:
    """Returns whether `--recipe` names a file, by its ending."""
    return name.endswith((".yaml", ".yml"))


def read_recipe_file(path: Path) -> RecipeFile:
    """Reads a recipe file; whether its fields exist is left to who applies them.

    Raises:
        InputError: No such file, or it says something else.
    """
    body = block(read_yaml(path, "A recipe file", as_text=True), path, _EXAMPLE)
    check_keys(body, ("model", "recipe", "set"), path)
    model, recipe = body.get("model"), body.get("recipe", "default")
    for key, value in (("model", model), ("recipe", recipe)):
        if not isinstance(value, str) or not value or is_recipe_file(value):
            raise InputError(
                f"A recipe file must say `{key}: NAME`, of a {key} in configs/",
                received="nothing" if value is None else repr(value),
                where=path,
            )
    fields = block(body.get("set") or {}, f"{path}, set", _EXAMPLE)
    changes = tuple(f"{field}={_text_of(value, field, path)}" for field, value in fields.items())
    return RecipeFile(str(model), str(recipe), changes)


def _text_of(value: object, field: str, path: Path) -> str:
    is_list = isinstance(value, list) and all(isinstance(part, str) for part in value)
    if is_list or isinstance(value, str):
        return as_text(value)
    raise InputError(
        "A field's value must be one value or a list of them",
        received=repr(value),
        where=f"{path}, set, {field}",
    )


def recipe_text(config: RunConfig, base: RunConfig, comment: Sequence[str]) -> str:
    """Returns the content of a recipe file.

    Args:
        config: What it shall give.
        base: A registered recipe of the same model.
        comment: Lines to put before.
    """
    known = field_paths(base)
    changed = {
        path: list(value) if isinstance(value, tuple) else value
        for path, value in field_paths(config).items()
        if value != known[path]
    }
    body = {"model": base.model_name, "recipe": base.recipe, "set": changed}
    text = yaml.safe_dump(body, sort_keys=False, allow_unicode=True, default_flow_style=None)
    return "".join(f"# {line}\n" for line in comment) + text
