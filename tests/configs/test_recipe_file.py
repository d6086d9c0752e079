"""Recipes in files: what is written is what is read, and mistakes are named."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from configs.overrides import apply_overrides, as_text, parse
from configs.recipe_file import recipe_text
from configs.registry import MODELS, recipe
from data.errors import InputError

ALL = [(model, name) for model, entry in MODELS.items() for name in entry.recipes]


@pytest.mark.parametrize(("model", "name"), ALL)
def test_a_recipe_written_to_a_file_is_read_the_same(model: str, name: str, tmp_path: Path) -> None:
    config = recipe(model, name)
    path = tmp_path / "mine.yaml"
    path.write_text(recipe_text(config, recipe(model, "default"), ["a note"]))
    assert recipe(model, str(path)) == replace(config, recipe="mine.yaml")


def test_extreme_values_survive(tmp_path: Path) -> None:
    default = recipe("wide_deep", "default")
    changes = [
        "trainer.learning_rate=1.2345678901234567e-05",
        "trainer.mixed_precision=off",
        "trainer.xla=true",
        "model.crosses=a*b,null*off",
        "trainer.warm_start=runs/a: b",
        "model.exclude=",
    ]
    config = apply_overrides(default, changes)
    path = tmp_path / "best.yml"
    path.write_text(recipe_text(config, default, []))
    assert recipe("wide_deep", str(path)) == replace(config, recipe="best.yml")


def test_values_are_read_as_set_reads_them(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(
        "model: ncf\nset:\n  trainer.mixed_precision: off\n  trainer.learning_rate: 1e-3\n"
        "  model.hidden: [64, 32]\n  model.gmf_dim: 8\n"
    )
    config = recipe("ncf", str(path))
    assert (config.trainer.mixed_precision, config.trainer.learning_rate) == ("off", 0.001)
    assert (config.model.hidden, config.model.gmf_dim) == ((64, 32), 8)
    assert config.trainer.epochs == recipe("ncf", "default").trainer.epochs


@pytest.mark.parametrize(
    ("text", "model", "message"),
    [
        ("model: ncf\nset:\n  model.gmf_dimm: 8\n", "ncf", "Did you mean 'model.gmf_dim'"),
        ("model: ncf\nset:\n  model.gmf_dim: wide\n", "ncf", "model.gmf_dim must be a value of"),
        ("model: ncf\nset:\n  model.hidden: [[1], 2]\n", "ncf", "must be one value or a list"),
        ("model: ncf\nset:\n  model.gmf_dim: 8\n  model.gmf_dim: 9\n", "ncf", "stands twice"),
        ("model: ncf\nset: [1]\n", "ncf", "must be a block of"),
        ("model: ncf\nsets: {}\n", "ncf", "Did you mean 'set'"),
        ("model: ncf\n", "dlrm", "Give --model=ncf"),
        ("recipe: default\n", "ncf", "must say `model: NAME`"),
        ("model: ncf\nrecipe: other.yaml\n", "ncf", "must say `recipe: NAME`"),
        ("model: ncf\nrecipe: tinny\n", "ncf", "Did you mean 'tiny'"),
        ("model: ncf\nset:\n  model.gmf_dim: 0\n", "ncf", "must be at least 1"),
        ("model: [", "ncf", "must be a YAML file"),
    ],
)
def test_a_mistake_is_named_with_its_file(
    text: str, model: str, message: str, tmp_path: Path
) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(InputError) as found:
        recipe(model, str(path))
    assert message in str(found.value)
    assert str(path) in str(found.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"A recipe file must be.*none\.yaml"):
        recipe("ncf", str(tmp_path / "none.yaml"))


@pytest.mark.parametrize(
    ("value", "hint"),
    [((), tuple[int, ...]), ((3, 4), tuple[int, ...]), (True, bool), (0.1, float), ("", str)],
)
def test_as_text_is_what_parse_reads(value: object, hint: object) -> None:
    assert parse(as_text(value), hint, "x") == value
