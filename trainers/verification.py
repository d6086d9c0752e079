"""Training a model twice, by one rank and by many, and comparing what comes out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace

import numpy as np
import tensorflow as tf

from configs.base import EvaluationConfig, RunConfig
from configs.registry import build_model, recipe
from data.dataset import PreparedDataset
from data.pipeline import make_dataset
from models.communicator import Communicator
from models.graphs import graph_function
from models.placement import REPLICATED
from models.recommender import Recommender
from models.training_step import StepOptions
from trainers.agreement import join_texts, largest
from trainers.precision import precision
from trainers.ranking_evaluation import RankingEvaluator

# Of float32 rounding, in sums of another order; and of vectors that travel rounded.
TOLERANCES = {"float32": 1e-5, "bfloat16": 2e-2, "float16": 2e-3}
_EQUAL = 1e-12
_OF_ROUNDED_SCORES = 0.02  # some users of the few have near-ties
_STEPS = 20
_ROWS_OF_RANK = 20  # of a batch
_DENSE_RATE = 0.05


@dataclass(frozen=True)
class Case:
    """What is trained twice.

    Attributes:
        model: Name of the model.
        optimizer: Table optimizer; empty for the recipe's.
        placement: Of its tables.
        precision: Type of its dense part.
        xla: Whether that is compiled.
    """

    model: str
    optimizer: str
    placement: str
    precision: str
    xla: bool

    def config(self) -> RunConfig:
        """Returns the model's `tiny` recipe, without dropout."""
        config = recipe(self.model, "tiny")
        names = {field.name for field in fields(config.model)}
        off = {name: 0.0 for name in names if name.endswith("dropout")}
        if self.optimizer:
            off["table_optimizer"] = self.optimizer  # type: ignore[assignment]
        trainer = replace(config.trainer, placement=(self.placement,))
        return replace(config, model=replace(config.model, **off), trainer=trainer)

    def __str__(self) -> str:
        """Returns a line's beginning."""
        optimizer = self.optimizer or self.config().model.table_optimizer
        return f"{self.model:<10} {self.placement:<10} {optimizer:<15} {self.precision:<8}"


def trained(
    case: Case, data: PreparedDataset, communicator: Communicator, ranks: int
) -> dict[str, np.ndarray]:
    """Returns a model's metrics before the first step, and its weights after the last.

    Args:
        case: What to train.
        data: The prepared dataset.
        communicator: The ranks, or this one alone.
        ranks: Ranks whose batches make up a whole one.
    """
    with precision(case.precision):
        model = build_model(case.config(), data, communicator)
        options = StepOptions(lambda: tf.constant(_DENSE_RATE), case.xla)
        model.prepare_training(tf.keras.optimizers.SGD(_DENSE_RATE), options)
        found = dict(_metrics(model, data, communicator))
        step = graph_function(model.train_step)
        for batch in _batches(model, data, communicator, ranks):
            step(batch)
    for name in model.tables.configs:
        found[f"table {name}"] = model.tables.rows(name).numpy()
    for number, weights in enumerate(model.trainable_variables):
        found[f"dense {number} {weights.name}"] = weights.numpy()
    return found


def _metrics(
    model: Recommender, data: PreparedDataset, communicator: Communicator
) -> Iterator[tuple[str, np.ndarray]]:
    # Before the first step, as weights equal but for rounding may rank near-ties differently.
    settings = EvaluationConfig(batch_size=37)  # of which the users are no multiple
    protocols = ("sampled", "full")
    evaluator = RankingEvaluator(model, data, "test", settings, protocols, communicator)
    for name, value in evaluator.evaluate().metrics.items():
        yield f"metric {name}", np.array(value)


def _batches(
    model: Recommender, data: PreparedDataset, communicator: Communicator, ranks: int
) -> Iterator[dict[str, tf.Tensor]]:
    """Yields whole batches to a process alone, and its share of them to a rank of several."""
    size = ranks * _ROWS_OF_RANK
    reading = model.reading(("train",), size)
    transforms = model.transforms(data, ("train",), True)
    mine = slice(0, size)
    if communicator.size > 1:
        mine = slice(communicator.rank * _ROWS_OF_RANK, (communicator.rank + 1) * _ROWS_OF_RANK)
    for batch in make_dataset(data, reading, transforms, seed=1).repeat().take(_STEPS):
        yield {
            n: values[mine] if _has_rows(values, size) else values for n, values in batch.items()
        }


def _has_rows(values: tf.Tensor, size: int) -> bool:
    return values.shape.rank > 0 and values.shape[0] == size


def first_difference(
    alone: dict[str, np.ndarray],
    together: dict[str, np.ndarray],
    tolerance: float,
    of_metrics: float = _EQUAL,
) -> tuple[float, str]:
    """Returns the largest difference of weights, and the first that is too large, for people."""
    largest, first = 0.0, ""
    for name, expected in alone.items():
        allowed = of_metrics if name.startswith("metric") else tolerance
        difference = float(np.abs(together[name] - expected).max(initial=0.0))
        if not name.startswith("metric"):
            largest = max(largest, difference)
        if not difference <= allowed and not first:
            first = f"'{name}' differs by {difference:.3g}, more than {allowed:g}"
    return largest, first


class Verifier:
    """Trains cases together and compares them with one rank alone.

    Args:
        data: The prepared dataset.
        communicator: The ranks.
        wire: Type in which their vectors travel.
    """

    def __init__(self, data: PreparedDataset, communicator: Communicator, wire: str) -> None:
        self._data, self._communicator, self._wire = data, communicator, wire
        self._alone: dict[Case, dict[str, np.ndarray]] = {}

    def verify(self, case: Case) -> tuple[float, str]:
        """Returns the largest difference over the ranks, and the first that is too large."""
        communicator = self._communicator
        together = trained(case, self._data, communicator, communicator.size)
        alone = {name: self._of_rank_0(case, name, like) for name, like in together.items()}
        tolerance = TOLERANCES["float32" if case.precision == "off" else case.precision]
        of_wire = TOLERANCES[self._wire]
        of_metrics = _EQUAL if self._wire == "float32" else _OF_ROUNDED_SCORES
        tolerances = (max(tolerance, of_wire), of_metrics)
        difference, fault = first_difference(alone, together, *tolerances)
        return largest(difference, communicator), join_texts(fault, communicator)

    def _of_rank_0(self, case: Case, name: str, like: np.ndarray) -> np.ndarray:
        """Returns what rank 0 gets alone, on every rank."""
        whole = replace(case, placement=REPLICATED)  # to one rank all placements are the same
        if self._communicator.rank == 0 and whole not in self._alone:
            self._alone[whole] = trained(whole, self._data, Communicator(), self._communicator.size)
        mine = self._alone[whole][name] if whole in self._alone else np.zeros_like(like)
        return self._communicator.all_reduce_sum(tf.constant(mine)).numpy()
