"""Settings of NCF."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from data.errors import InputError
from data.sampling import NegativeSampling


@dataclass(frozen=True)
class NCFConfig:
    """Settings of NCF.

    Attributes:
        variant: `neumf`, `gmf`, `mlp` or `mf`.
        gmf_dim: Width of the GMF vectors, or of the factors of `mf`.
        mlp_dim: Width of the MLP's user and item vectors.
        hidden: Widths of the MLP's hidden layers.
        negatives: Sampled negatives of each positive.
        negative_sampling: `uniform` or `popularity`.
        popularity_exponent: Power of an item's count when sampling by popularity.
        allow_positives: Whether a user's own positives may be drawn as its negatives.
        stddev: Standard deviation of the tables' initial values.
        gmf_l2: Weight of the squared norms of the GMF vectors looked up, by example.
        mlp_l2: The same of the MLP vectors.
        dropout: Share of the MLP's activations dropped in training.
        table_optimizer: `adam`, `adagrad`, `rowwise_adagrad` or `sgd`.
        pretrained_gmf: Run folder of a trained `gmf` to start `neumf` from.
        pretrained_mlp: Run folder of a trained `mlp` to start `neumf` from.
        pretrained_alpha: Share of GMF in the joint output layer (section 3.4.1, equation 13).
    """

    variant: Literal["neumf", "gmf", "mlp", "mf"] = "neumf"
    gmf_dim: int = 64
    mlp_dim: int = 64
    hidden: tuple[int, ...] = (128, 64, 32)
    negatives: int = 4
    negative_sampling: NegativeSampling = "uniform"
    popularity_exponent: float = 1.0
    allow_positives: bool = False
    stddev: float = 0.01
    gmf_l2: float = 0.0
    mlp_l2: float = 0.0
    dropout: float = 0.0
    table_optimizer: str = "adam"
    pretrained_gmf: str = ""
    pretrained_mlp: str = ""
    pretrained_alpha: float = 0.5

    def __post_init__(self) -> None:
        """Checks the settings against each other."""
        for name in ("gmf_dim", "mlp_dim", "negatives"):
            if getattr(self, name) < 1:
                raise InputError(f"model.{name} must be at least 1", received=getattr(self, name))
        for name in ("stddev", "gmf_l2", "mlp_l2", "popularity_exponent"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise InputError(
                    f"model.{name} must not be below 0, and finite", received=getattr(self, name)
                )
        if min(self.hidden, default=1) < 1:
            raise InputError("model.hidden must hold widths of at least 1", received=self.hidden)
        if not 0 <= self.pretrained_alpha <= 1:
            raise InputError(
                "model.pretrained_alpha must lie in [0, 1]", received=self.pretrained_alpha
            )
        if not 0 <= self.dropout < 1:
            raise InputError("model.dropout must lie in [0, 1)", received=self.dropout)
        if self.variant in ("neumf", "mlp") and not self.hidden:
            raise InputError(f"model.hidden must have a layer for variant '{self.variant}'")
        if bool(self.pretrained_gmf) != bool(self.pretrained_mlp):
            raise InputError(
                "model.pretrained_gmf and model.pretrained_mlp go together",
                received=f"{self.pretrained_gmf!r} and {self.pretrained_mlp!r}",
            )
        if self.pretrained_gmf and self.variant != "neumf":
            raise InputError("Only variant 'neumf' starts from trained runs", received=self.variant)

    @property
    def has_gmf(self) -> bool:
        """Whether the model multiplies factors."""
        return self.variant != "mlp"

    @property
    def has_mlp(self) -> bool:
        """Whether the model has the multi-layer perceptron."""
        return self.variant in ("neumf", "mlp")
