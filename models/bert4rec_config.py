"""Settings of BERT4Rec and of its causal variant, SASRec."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from data.errors import InputError
from data.sequences import Crop


@dataclass(frozen=True)
class BERT4RecConfig:
    """Settings of BERT4Rec.

    Attributes:
        variant: `bert` predicts hidden items from both sides, `sasrec` each next item.
        dim: Width of the vectors.
        layers: Transformer blocks.
        heads: Attention heads of a block; they share `dim`.
        inner: Width of the feed-forward layers; 0 for 4 x `dim`.
        norm_first: Whether blocks normalise their input (SASRec) or their sum (BERT).
        max_length: Most items of a user that are looked at; the mask token counts.
        crop: Of longer training sequences, the `last` items or a `random` window.
        mask_share: Share of a sequence's items to hide (`bert`).
        last_item_share: Share of sequences in which the last item alone is hidden (`bert`).
        max_targets: Most predictions of a sequence in training; 0 for mask_share x max_length
            (`bert`) or for all (`sasrec`).
        dropout: Share of activations dropped in training.
        attention_dropout: Share of attention weights dropped in training.
        loss: `full` softmax over all items, `sampled` softmax, or `gbce`.
        negatives: Sampled negatives that the targets of a sequence share (`sampled`, `gbce`).
        allow_positives: Whether a user's other items may be drawn as negatives.
        gbce_t: Calibration t of `gbce`: 0 is plain binary cross-entropy, 1 fully calibrated.
        output_bias: Whether each item has a bias.
        stddev: Standard deviation of the initial values.
        table_optimizer: `adam`, `adagrad`, `rowwise_adagrad` or `sgd`.
    """

    variant: Literal["bert", "sasrec"] = "bert"
    dim: int = 64
    layers: int = 2
    heads: int = 2
    inner: int = 0
    norm_first: bool = False
    max_length: int = 200
    crop: Crop = "last"
    mask_share: float = 0.2
    last_item_share: float = 0.1
    max_targets: int = 0
    dropout: float = 0.1
    attention_dropout: float = 0.0
    loss: Literal["full", "sampled", "gbce"] = "full"
    negatives: int = 256
    allow_positives: bool = False
    gbce_t: float = 0.75
    output_bias: bool = True
    stddev: float = 0.02
    table_optimizer: str = "adam"

    def __post_init__(self) -> None:
        """Checks the settings against each other."""
        for name in ("dim", "layers", "heads", "negatives"):
            if getattr(self, name) < 1:
                raise InputError(f"model.{name} must be at least 1", received=getattr(self, name))
        for name in ("inner", "max_targets"):
            if getattr(self, name) < 0:
                raise InputError(f"model.{name} must not be below 0", received=getattr(self, name))
        for name in ("dropout", "attention_dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise InputError(f"model.{name} must lie in [0, 1)", received=getattr(self, name))
        for name in ("last_item_share", "gbce_t"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"model.{name} must lie in [0, 1]", received=getattr(self, name))
        if not 0 < self.mask_share <= 1:
            raise InputError("model.mask_share must lie in (0, 1]", received=self.mask_share)
        if not 0 < self.stddev < float("inf"):
            raise InputError("model.stddev must be above 0, and finite", received=self.stddev)
        if self.max_length < 2:
            raise InputError("model.max_length must be at least 2", received=self.max_length)
        if self.dim % self.heads:
            raise InputError(
                "model.dim must be a multiple of model.heads",
                received=f"{self.dim} and {self.heads}",
            )
        if self.max_targets > self.max_length:
            raise InputError(
                "model.max_targets must not exceed model.max_length",
                received=f"{self.max_targets} and {self.max_length}",
            )

    @property
    def is_causal(self) -> bool:
        """Whether an item is predicted from those before it alone."""
        return self.variant == "sasrec"

    @property
    def targets(self) -> int:
        """Most predictions of a sequence in training, M."""
        if self.max_targets:
            return self.max_targets
        if self.is_causal:
            return self.max_length
        return max(1, round(self.mask_share * self.max_length))

    @property
    def sequence_length(self) -> int:
        """Items of a training sequence: what is looked at, and the last target of `sasrec`."""
        return self.max_length + self.is_causal
