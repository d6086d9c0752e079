"""One sentence on what limits a run, and what to try."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from configs.base import TrainerConfig

_MUCH = 0.3  # share of a step from which a part is worth naming
_NEAR = 0.6  # share of a ceiling from which little is left to win


@dataclass(frozen=True)
class Shares:
    """Shares of a step's time.

    Attributes:
        input_wait: Waiting for the batch.
        gather: Finding and reading rows of the tables.
        dense: Losses and gradients.
        update: Collectives and optimizers.
    """

    input_wait: float
    gather: float
    dense: float
    update: float

    @staticmethod
    def of(times: np.ndarray) -> Shares:
        """Returns the shares of seconds of shape (steps, 4)."""
        total = times.sum(axis=0)
        return Shares(*(float(part) for part in total / total.sum()))


def verdict(shares: Shares, of_matmul: float, config: TrainerConfig) -> str:
    """Returns the sentence.

    Args:
        shares: Where the time goes.
        of_matmul: The dense part's rate over that of a product of square matrices.
        config: How the model is trained.
    """
    tables = shares.gather + shares.update
    largest = max(asdict(shares).values())
    if shares.input_wait >= _MUCH:
        return _sentence(
            "Input",
            shares.input_wait,
            "the pipeline is slower than the model: fewer negatives or shorter lists, a local "
            "disk, or more processors",
        )
    if tables >= _MUCH and tables > shares.dense:
        return _sentence(
            "Table traffic",
            tables,
            "narrower vectors, model.table_optimizer=rowwise_adagrad, "
            "trainer.table_dtype=bfloat16, or a larger batch, whose rows repeat more often",
        )
    if shares.dense == largest and of_matmul >= _NEAR:
        return _sentence(
            "Arithmetic",
            shares.dense,
            f"the dense part runs at {of_matmul:.0%} of a plain product of matrices: only narrower "
            f"layers, {_precision(config)}or more devices help",
        )
    return _sentence(
        "Overhead of small operations in the dense part", shares.dense, _of_small(config)
    )


def _precision(config: TrainerConfig) -> str:
    if config.mixed_precision != "off":
        return ""
    return "--mixed_precision=bfloat16 where the processor has it, "


def _of_small(config: TrainerConfig) -> str:
    xla = "" if config.xla else "--xla, which fuses them, or "
    return f"try {xla}a larger batch, which makes each of them worth its start"


def _sentence(what: str, share: float, advice: str) -> str:
    return f"{what} limits this run ({share:.0%} of a step): {advice}."
