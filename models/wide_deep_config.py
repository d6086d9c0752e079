"""Settings of Wide&Deep."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from data.errors import InputError
from models.click_config import ClickConfig, require_at_least, require_widths


@dataclass(frozen=True)
class WideDeepConfig(ClickConfig):
    """Settings of Wide&Deep, beside those of every model of mixed features.

    Attributes:
        variant: `wide_deep`, `wide` (logistic regression) or `deep`.
        hidden: Widths of the deep part's layers.
        bucket_use: Which part takes in the buckets of numbers: `wide`, `deep` or `both`.
        crosses: Crosses of the wide part, such as `education*occupation`, of features with ids and
            of buckets such as `age_bucket`.
        cross_buckets: Rows that each cross is hashed into.
        wide_optimizer: Table optimizer of the wide part.
        wide_rate_scale: Learning rate of the wide part, over that of the tables.
        wide_l1: Weight of the absolute values of the wide part (`ftrl` only).
        wide_l2: Weight of their squares (`ftrl` only).
    """

    variant: Literal["wide_deep", "wide", "deep"] = "wide_deep"
    hidden: tuple[int, ...] = (128, 64)
    bucket_use: Literal["wide", "deep", "both"] = "wide"
    crosses: tuple[str, ...] = ()
    cross_buckets: int = 10_000
    wide_optimizer: str = "ftrl"
    wide_rate_scale: float = 1.0
    wide_l1: float = 0.0
    wide_l2: float = 0.0

    def __post_init__(self) -> None:
        """Checks the settings against each other."""
        super().__post_init__()
        require_at_least(self, "cross_buckets", 2)
        for name in ("wide_rate_scale", "wide_l1", "wide_l2"):
            require_at_least(self, name, 0)
        require_widths(self, "hidden", 1 if self.has_deep else 0)
        if self.crosses and not self.has_wide:
            raise InputError(
                "model.crosses belong to the wide part",
                received=f"{', '.join(self.crosses)} with variant '{self.variant}'",
                action="Set model.variant=wide_deep, or model.crosses=()",
            )

    @property
    def has_wide(self) -> bool:
        """Whether the model has the linear part."""
        return self.variant != "deep"

    @property
    def has_deep(self) -> bool:
        """Whether the model has embeddings and the multi-layer perceptron."""
        return self.variant != "wide"
