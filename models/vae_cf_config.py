"""Settings of VAE-CF."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from data.errors import InputError


@dataclass(frozen=True)
class VAECFConfig:
    """Settings of VAE-CF.

    Attributes:
        variant: `vae` (Mult-VAE) or `dae` (Mult-DAE).
        hidden: Widths of the encoder's hidden layers, from the items; the decoder has them in
            reverse. Empty for one layer each way.
        latent: Width of a user's representation.
        dropout: Probability that an item is left out of the encoder's input in training.
        beta_cap: Largest weight of the KL term.
        anneal_steps: Steps in which that weight would rise from 0 to 1, as in the authors' code:
            it stops at `beta_cap`, after `beta_cap * anneal_steps` steps. 0 starts at the cap.
        l2: Weight of the squared norms of the dense kernels, which the item table is not among.
        stddev: Standard deviation of the item table's initial values.
        table_optimizer: `adam`, `adagrad`, `rowwise_adagrad` or `sgd`.
        max_history: Newest items of a user to train on; 0 takes all.
    """

    variant: Literal["vae", "dae"] = "vae"
    hidden: tuple[int, ...] = (600,)
    latent: int = 200
    dropout: float = 0.5
    beta_cap: float = 0.2
    anneal_steps: int = 10_000
    l2: float = 0.0
    stddev: float = 0.02
    table_optimizer: str = "adam"
    max_history: int = 0

    def __post_init__(self) -> None:
        """Checks ranges."""
        if self.latent < 1:
            raise InputError("model.latent must be at least 1", received=self.latent)
        if min(self.hidden, default=1) < 1:
            raise InputError("model.hidden must hold widths of at least 1", received=self.hidden)
        if not 0 <= self.dropout < 1:
            raise InputError("model.dropout must lie in [0, 1)", received=self.dropout)
        for name in ("beta_cap", "l2", "stddev"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise InputError(
                    f"model.{name} must not be below 0, and finite", received=getattr(self, name)
                )
        for name in ("anneal_steps", "max_history"):
            if getattr(self, name) < 0:
                raise InputError(f"model.{name} must not be below 0", received=getattr(self, name))

    @property
    def encoded(self) -> int:
        """Width of what the encoder returns: mean and log variance in `vae`."""
        return 2 * self.latent if self.variant == "vae" else self.latent
