"""Search spaces: those declared suit their recipes, and mistakes are named."""

from __future__ import annotations

from pathlib import Path

import pytest

from configs.overrides import apply_overrides
from configs.registry import MODELS, recipe
from configs.search import (
    Choice,
    Dimension,
    Integer,
    LogInteger,
    LogUniform,
    Uniform,
    applies,
    check_space,
    that_can_apply,
    without_fixed,
)
from configs.search_file import read_space
from data.errors import InputError

DIMENSIONS = {dimension.path: dimension for dimension in MODELS["ncf"].search}
TUNED = [name for name, entry in MODELS.items() if entry.search]


@pytest.mark.parametrize("model", TUNED)
def test_declared_spaces_suit_every_recipe_of_their_model(model: str) -> None:
    for name in MODELS[model].recipes:
        check_space(MODELS[model].search, recipe(model, name))


def test_all_models_but_popularity_have_a_space() -> None:
    assert set(MODELS) - set(TUNED) == {"popularity"}
    with pytest.raises(InputError, match=r"no search space for 'popularity'.*--space"):
        check_space((), recipe("popularity", "default"))


@pytest.mark.parametrize(
    ("dimension", "message"),
    [
        (LogUniform("trainer.learning_rat", 0.1, 1), "Did you mean 'trainer.learning_rate'"),
        (Uniform("trainer.learning_rate", 1.0, 0.1), "must have its low bound first"),
        (LogUniform("model.dropout", 0.0, 0.5), "must have bounds above 0"),
        (Uniform("model.dropout", 0.0, 1.0), r"model\.dropout must lie in \[0, 1\)"),
        (Uniform("model.negatives", 1, 4), "goes with fields of type float"),
        (Integer("model.dropout", 0, 1), "goes with fields of type int"),
        (Integer("trainer.xla", 0, 1), "goes with fields of type int"),
        (LogInteger("model.hidden", 1, 64), "Received: a field of type tuple"),
        (Choice("model.variant", ("gmf",)), "two different values"),
        (Choice("model.gmf_dim", (8, "8")), "two different values"),
        (Choice("model.variant", ("gmf", "fm")), "'neumf' or 'gmf' or 'mlp' or 'mf'"),
        (Choice("evaluation.ks", ((1,), (2,))), "must leave alone what trials are compared by"),
        (Choice("trainer.seed", (1, 2)), "must leave alone what trials are compared by"),
    ],
)
def test_a_dimension_that_cannot_be_searched_is_refused(dimension: Dimension, message: str) -> None:
    with pytest.raises(InputError, match=message):
        check_space((dimension,), recipe("ncf", "default"))


def test_a_field_is_searched_once_and_not_where_it_is_fixed() -> None:
    twice = (DIMENSIONS["model.dropout"],) * 2
    with pytest.raises(InputError, match="must search each field once"):
        check_space(twice, recipe("ncf", "default"))
    left = without_fixed(MODELS["ncf"].search, ["model.dropout=0.1", "trainer.epochs=3"])
    assert {d.path for d in left} == set(DIMENSIONS) - {"model.dropout"}


def test_a_space_in_a_file_is_that_of_python(tmp_path: Path) -> None:
    path = tmp_path / "space.yaml"
    path.write_text(
        "trainer.learning_rate: {log_uniform: [1e-4, 0.01]}\n"
        "model.dropout: {uniform: [0, 0.5]}\n"
        "model.negatives: {integer: [1, 8]}\n"
        "model.gmf_dim: {log_integer: [8, 128]}\n"
        "model.hidden: {choice: [[64, 32], [128]], when: {model.variant: [neumf, mlp]}}\n"
        "trainer.mixed_precision: {choice: [off, bfloat16]}\n"
    )
    space = read_space(path)
    assert space[:4] == (
        LogUniform("trainer.learning_rate", 0.0001, 0.01),
        Uniform("model.dropout", 0.0, 0.5),
        Integer("model.negatives", 1, 8),
        LogInteger("model.gmf_dim", 8, 128),
    )
    assert space[4].when == {"model.variant": ("neumf", "mlp")}
    assert [d.ends() for d in space[4:]] == [("64,32", "128"), ("off", "bfloat16")]
    check_space(space, recipe("ncf", "default"))


GMF = Choice("model.gmf_dim", (8, 16), when={"model.variant": ("gmf", "mf")})


def test_what_the_fixed_variant_ignores_is_not_searched() -> None:
    config = recipe("bert4rec", "default")
    space = MODELS["bert4rec"].search
    assert that_can_apply(space, config) == space  # the variant is searched
    for variant, is_searched in (("bert", True), ("sasrec", False)):
        fixed = [f"model.variant={variant}"]
        left = that_can_apply(without_fixed(space, fixed), apply_overrides(config, fixed))
        assert ("model.mask_share" in {d.path for d in left}) == is_searched
    assert applies(GMF, {"model.variant": "mf"})
    assert not applies(GMF, {"model.variant": "mlp"})


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ((GMF, Choice("model.variant", ("gmf", "mlp"))), "must stand below what it depends on"),
        ((Choice("model.gmf_dim", (8, 16), {"model.varian": ("gmf",)}),), "'model.variant'"),
        ((Choice("model.gmf_dim", (8, 16), {"model.variant": ("fm",)}),), "'neumf' or 'gmf'"),
    ],
)
def test_a_condition_that_cannot_hold_is_refused(
    space: tuple[Dimension, ...], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        check_space(space, recipe("ncf", "default"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("model.dropout: {uniformly: [0, 1]}\n", "Did you mean 'uniform'"),
        ("model.dropout: {uniform: [0, 1], choice: [0]}\n", "searched in one way"),
        ("model.dropout: {uniform: 1}\n", "searched in one way"),
        ("model.dropout: {}\n", "searched in one way"),
        ("model.dropout: {uniform: [0, 1, 2]}\n", "takes two bounds"),
        ("model.dropout: {uniform: [0, high]}\n", "must be a value of type float"),
        ("model.dropout: 0.5\n", "must be a block"),
        ("model.dropout: {uniform: [0, 1], when: mlp}\n", "must be a block"),
        ("model.dropout: {uniform: [0, 1], when: {model.variant: mlp}}\n", "a list of values"),
        ("model.dropout: {when: {model.variant: [mlp]}}\n", "searched in one way"),
        ("- model.dropout\n", "must be a block"),
    ],
)
def test_a_mistake_in_a_file_is_named_with_its_place(
    text: str, message: str, tmp_path: Path
) -> None:
    path = tmp_path / "space.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=message) as found:
        read_space(path)
    assert str(path) in str(found.value)
