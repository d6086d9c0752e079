"""The typed settings of a run, shared by every model."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from data.errors import InputError

Protocol = Literal["sampled", "popular", "full"]


@dataclass(frozen=True)
class TrainerConfig:
    """How a model is trained.

    Attributes:
        warm_start: Run folder whose weights to start from, moved by raw id; empty for none. The
            dataset must have the same columns (docs/retrain.md).
        fit_on: Splits to train on. With `validation` among them nothing is left to choose an
            epoch by: the last one counts, and early stopping is refused.
        epochs: Most passes over the data.
        batch_size: Rows of a batch on each rank.
        accumulate: Parts that a batch is taken in, one after the other: their gradients are added
            up before the one update, so that activations of one part are held at a time.
        optimizer: Keras optimizer of the dense weights: `adam`, `sgd` or `adagrad`.
        learning_rate: Of the dense weights.
        table_learning_rate: Of the embedding tables; 0 takes `learning_rate`.
        weight_decay: Share of each dense weight taken away a step, times the learning rate
            (decoupled, Loshchilov & Hutter 2019); the tables have their model's l2.
        schedule: `constant`, or a decay to `final_share` by `cosine`, `linear` or `polynomial`.
        schedule_power: Exponent of `polynomial`.
        warmup_steps: Steps over which the learning rates rise linearly from 0.
        final_share: Share of the learning rates left at the end of the decay.
        seed: Of initial values, order of the data and sampling.
        mixed_precision: `off`, `bfloat16` or `float16`: type of the dense part's activations.
            `float16` scales the loss (`models.loss_scale`).
        table_dtype: `float32`, or `bfloat16`: half the memory and traffic of the embedding tables,
            rounded stochastically; their optimizer's slots stay float32.
        placement: On several ranks, `replicated` (a copy of each table on every rank), `sharded`
            (rows dealt to the ranks by id) or `auto` (by size), and TABLE=... for single tables.
        replicate_mib: Most MiB that all ranks' copies of a table, with its optimizer's slots, may
            take together for `auto` to replicate it.
        wire_dtype: Type in which vectors of tables and gradients travel between ranks: `float32`,
            or `float16` or `bfloat16` for half the bytes; dense gradients are never bfloat16.
        xla: Whether to compile the dense part with XLA.
        steps_per_call: Steps between two returns to Python; 0 takes as many as keep Python's share
            of the time under 2%.
        evaluate_epochs: Epochs between two evaluations on validation.
        monitor: Metric that chooses the best checkpoint and stops early; `/sampled` stands for
            the dataset's frozen candidates, however many. `auto` is `ndcg@10/sampled`, or `auc`
            of a click task.
        patience: Evaluations without a better `monitor` before stopping; 0 never stops early.
        checkpoint_steps: Steps between two checkpoints; 0 leaves it to the clock.
        checkpoint_minutes: Minutes between two checkpoints; 0 leaves it to the steps.
        keep_checkpoints: Newest checkpoints kept, beside the best.
    """

    warm_start: str = ""
    fit_on: tuple[str, ...] = ("train",)
    epochs: int = 10
    batch_size: int = 4096
    accumulate: int = 1
    optimizer: Literal["adam", "sgd", "adagrad"] = "adam"
    learning_rate: float = 0.001
    table_learning_rate: float = 0.0
    weight_decay: float = 0.0
    schedule: Literal["constant", "cosine", "linear", "polynomial"] = "constant"
    schedule_power: float = 1.0
    warmup_steps: int = 0
    final_share: float = 0.0
    seed: int = 1
    mixed_precision: Literal["off", "bfloat16", "float16"] = "off"
    table_dtype: Literal["float32", "bfloat16"] = "float32"
    placement: tuple[str, ...] = ("auto",)
    replicate_mib: float = 8.0
    wire_dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    xla: bool = False
    steps_per_call: int = 0
    evaluate_epochs: int = 1
    monitor: str = "auto"
    patience: int = 0
    checkpoint_steps: int = 0
    checkpoint_minutes: float = 5.0
    keep_checkpoints: int = 2

    def __post_init__(self) -> None:
        """Checks ranges and the settings against each other."""
        for name in ("epochs", "batch_size", "accumulate", "evaluate_epochs"):
            _require(f"trainer.{name} must be at least 1", getattr(self, name) >= 1, self, name)
        for name in ("learning_rate", "schedule_power"):
            _require(f"trainer.{name} must be above 0", getattr(self, name) > 0, self, name)
        for name in (
            "table_learning_rate",
            "weight_decay",
            "warmup_steps",
            "patience",
            "checkpoint_steps",
            "checkpoint_minutes",
            "steps_per_call",
            "replicate_mib",
        ):
            _require(f"trainer.{name} must not be below 0", getattr(self, name) >= 0, self, name)
        _require(
            "trainer.final_share must lie in [0, 1]",
            0 <= self.final_share <= 1,
            self,
            "final_share",
        )
        _require(
            "trainer.keep_checkpoints must be at least 1",
            self.keep_checkpoints >= 1,
            self,
            "keep_checkpoints",
        )
        _require(
            "trainer.fit_on must name train, or train and validation",
            self.fit_on in (("train",), ("train", "validation")),
            self,
            "fit_on",
        )
        if self.batch_size % self.accumulate:
            raise InputError(
                "trainer.batch_size must be a multiple of trainer.accumulate",
                received=f"{self.batch_size} and {self.accumulate}",
            )
        if "validation" in self.fit_on and self.patience:
            raise InputError(
                "Early stopping needs a validation split that is not trained on",
                received=f"trainer.fit_on={self.fit_on} and trainer.patience={self.patience}",
                action="Set trainer.patience=0 and choose trainer.epochs by a run on train alone",
            )


@dataclass(frozen=True)
class EvaluationConfig:
    """What is measured.

    Attributes:
        protocols: `sampled` ranks a user's target among its frozen candidates, `popular` among
            those drawn by popularity, `full` among all items that the user has not seen.
        ks: Lengths of the list at which metrics are taken.
        batch_size: Users of a batch on each rank.
        validation_protocols: Protocols of the evaluations during training, to save time.
        click_batch_size: Rows of a batch on each rank, in a click task.
        slices: In a click task, categorical features by whose values metrics are taken apart.
    """

    protocols: tuple[Protocol, ...] = ("sampled", "full")
    ks: tuple[int, ...] = (1, 5, 10, 20, 50)
    batch_size: int = 512
    validation_protocols: tuple[Protocol, ...] = ("sampled",)
    click_batch_size: int = 4096
    slices: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Checks ranges."""
        for name in ("protocols", "validation_protocols"):
            _require(f"evaluation.{name} must name one", bool(getattr(self, name)), self, name)
        if not self.ks or min(self.ks) < 1:
            raise InputError("evaluation.ks must hold numbers of at least 1", received=self.ks)
        for name in ("batch_size", "click_batch_size"):
            _require(f"evaluation.{name} must be at least 1", getattr(self, name) >= 1, self, name)


@dataclass(frozen=True)
class RunConfig:
    """One run: a model's settings and how it is trained and evaluated.

    Attributes:
        model_name: Name in the registry.
        recipe: Name of the recipe this came from.
        model: The model's own settings dataclass.
        trainer: How it is trained.
        evaluation: What is measured.
    """

    model_name: str
    recipe: str
    model: Any
    trainer: TrainerConfig = field(default_factory=TrainerConfig)
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)


def _require(rule: str, holds: bool, config: object, name: str) -> None:
    if not holds:
        raise InputError(rule, received=repr(getattr(config, name)))
