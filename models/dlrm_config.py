"""Settings of DLRM."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from models.click_config import ClickConfig, require_at_least, require_widths


@dataclass(frozen=True)
class DLRMConfig(ClickConfig):
    """Settings of DLRM, beside those of every model of mixed features.

    Attributes:
        interaction: `dot` (DLRM) or `cross` (DCN-v2).
        bottom: Widths of the layers before the one of width `dim` that ends the MLP over numbers:
            `bottom=512,256` and `dim=64` are the 512-256-64 of the papers.
        top: Widths of the layers before the logit.
        cross_layers: Layers of the cross network.
        cross_rank: Rank of its matrices; 0 for full ones.
    """

    interaction: Literal["dot", "cross"] = "dot"
    bottom: tuple[int, ...] = (64,)
    top: tuple[int, ...] = (128, 64)
    cross_layers: int = 2
    cross_rank: int = 0

    def __post_init__(self) -> None:
        """Checks ranges."""
        super().__post_init__()
        require_widths(self, "bottom")
        require_widths(self, "top", 1)
        require_at_least(self, "cross_layers", 1)
        require_at_least(self, "cross_rank", 0)
