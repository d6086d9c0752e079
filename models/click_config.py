"""Settings that the models of mixed features share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from data.errors import InputError
from data.sampling import NegativeSampling


@dataclass(frozen=True)
class ClickConfig:
    """Settings of Wide&Deep and of DLRM alike.

    Attributes:
        dim: Width of the embedding vectors.
        stddev: Standard deviation of their initial values.
        l2: Weight of the squared norms of the vectors looked up, by example.
        dropout: Share of activations dropped in training.
        input_dropout: Share of the values of the looked-up vectors dropped in training.
        table_optimizer: Of the vectors: `adam`, `adagrad`, `rowwise_adagrad` or `sgd`.
        numeric: How numbers enter: `standardise` takes the training mean off and divides by the
            training standard deviation; `log` is log(1 + max(x, 0)).
        buckets: Quantile buckets of each number, which make it a category too; 0 for none.
        exclude: Features that the model does not see.
        negatives: Sampled negatives of each positive, where rows have no label.
        negative_sampling: `uniform` or `popularity`.
        popularity_exponent: Power of an item's count when sampling by popularity.
        allow_positives: Whether a user's own positives may be drawn as its negatives.
    """

    dim: int = 16
    stddev: float = 0.01
    l2: float = 0.0
    dropout: float = 0.0
    input_dropout: float = 0.0
    table_optimizer: str = "adagrad"
    numeric: Literal["standardise", "log"] = "standardise"
    buckets: int = 0
    exclude: tuple[str, ...] = ()
    negatives: int = 4
    negative_sampling: NegativeSampling = "uniform"
    popularity_exponent: float = 1.0
    allow_positives: bool = False

    def __post_init__(self) -> None:
        """Checks ranges."""
        for name in ("dim", "negatives"):
            require_at_least(self, name, 1)
        for name in ("stddev", "l2", "popularity_exponent"):
            require_at_least(self, name, 0)
        for name in ("dropout", "input_dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise InputError(f"model.{name} must lie in [0, 1)", received=getattr(self, name))
        if self.buckets < 0 or self.buckets == 1:
            raise InputError(
                "model.buckets must be 0 for none, or at least 2", received=self.buckets
            )

    @property
    def drops(self) -> bool:
        """Whether training drops anything."""
        return bool(self.dropout or self.input_dropout)


def require_at_least(config: object, name: str, least: int) -> None:
    """Checks a number of the settings.

    Raises:
        InputError: It is below `least`, or not finite.
    """
    if not least <= getattr(config, name) < float("inf"):
        raise InputError(
            f"model.{name} must be at least {least}, and finite", received=getattr(config, name)
        )


def require_widths(config: object, name: str, fewest: int = 0) -> None:
    """Checks the widths of some layers.

    Raises:
        InputError: Too few layers, or one without units.
    """
    widths = getattr(config, name)
    if len(widths) < fewest or min(widths, default=1) < 1:
        raise InputError(
            f"model.{name} must hold at least {fewest} widths, each of at least 1", received=widths
        )
