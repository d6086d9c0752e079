"""NeuMF from a trained GMF and a trained MLP: He et al. 2017, section 3.4.1."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from data.errors import InputError
from models.recommender import Recommender

if TYPE_CHECKING:
    from models.ncf import NCF


def adopt_part(neumf: NCF, name: str, trained: Recommender) -> None:
    """Sets one half of a NeuMF, so that its logits are a weighted sum of both halves' (eq. 13).

    Args:
        neumf: A model freshly built, whose output bias is 0.
        name: `gmf` or `mlp`.
        trained: A trained NCF of that variant and of the same widths.

    Raises:
        InputError: It is another variant, or its widths differ.
    """
    config, widths = neumf.config, ["gmf_dim"] if name == "gmf" else ["mlp_dim", "hidden"]
    theirs = getattr(trained, "config", None)
    same = getattr(theirs, "variant", None) == name
    if not same or any(getattr(theirs, w) != getattr(config, w) for w in widths):
        raise InputError(
            f"model.pretrained_{name} must be a run of variant '{name}' with the same widths",
            received=theirs,
            action=f"Train it with {', '.join(f'model.{w}={getattr(config, w)}' for w in widths)}",
        )
    half = cast("NCF", trained)
    share = config.pretrained_alpha if name == "gmf" else 1 - config.pretrained_alpha
    for table in ("user", "item"):
        neumf.tables.assign_part(table, name, half.tables.part(table, name))
    if name == "gmf":
        neumf.gmf_output.assign(share * half.gmf_output)
    else:
        neumf.mlp.set_weights(half.mlp.get_weights())
        neumf.mlp_output.assign(share * half.mlp_output)
    neumf.output_bias.assign_add(share * half.output_bias)
