"""Evaluation of a click task: every row of a split once, with its protocol card and slices."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import tensorflow as tf

from configs.base import EvaluationConfig
from data.attribute_table import read_attributes
from data.dataset import PreparedDataset
from data.errors import InputError, nearest
from data.pipeline import MASK, Batch, Transform, make_dataset
from data.reading import Reading, stored_order
from data.schema import FIRST_ID, Kind
from models.communicator import Communicator
from models.graphs import graph_function
from trainers.click_details import ClickDetails
from trainers.click_metrics import NAMES, click_metrics
from trainers.result import Result

LABEL = "label"
_VIEW = "rows"
_OWNERS = ("user", "item")  # whose attributes rows can be sliced by


class ClickScorer(Protocol):
    """What can be evaluated: any Recommender with a click task, or a baseline."""

    def transforms(
        self, data: PreparedDataset, splits: Sequence[str], training: bool
    ) -> list[Transform]:
        """Returns the transforms of the input pipeline."""

    def __call__(self, batch: Batch) -> tf.Tensor:
        """Returns logits of shape (batch,), float32."""


class ClickEvaluator:
    """Evaluates one scorer on one split of labelled rows.

    Args:
        scorer: What to evaluate.
        data: The prepared dataset; its view `rows` has a column `label`.
        split: `validation` or `test`.
        config: Batch size and slices.
        communicator: Other processes, each of which evaluates its share of the rows.
        detailed: Whether to return what was predicted of each row beside the metrics.

    Raises:
        InputError: The dataset has no such split, or lacks a feature to slice by.
    """

    def __init__(
        self,
        scorer: ClickScorer,
        data: PreparedDataset,
        split: str,
        config: EvaluationConfig,
        communicator: Communicator | None = None,
        detailed: bool = False,
    ) -> None:
        self._data, self._split, self._detailed = data, split, detailed
        self._communicator = communicator or Communicator()
        self._reading = Reading(_VIEW, (split,), config.click_batch_size)
        self._transforms = scorer.transforms(data, (split,), False)
        self._slicers = {name: _Slicer(data, name) for name in config.slices}
        if data.split(_VIEW, split).rows == 0:
            raise InputError("The split to evaluate must have rows", received=repr(split))

        def predict(batch: Batch) -> tuple[tf.Tensor, ...]:
            values = [slicer.ids(batch) for slicer in self._slicers.values()]
            kept = batch[MASK] > 0
            columns = (batch[LABEL], scorer(batch), *values)
            return tuple(tf.boolean_mask(column, kept) for column in columns)

        self._predict = graph_function(predict)

    def metric_names(self) -> list[str]:
        """Returns the names of the metrics that `evaluate` measures."""
        return list(NAMES)

    def evaluate(self) -> Result:
        """Returns the metrics over all rows of the split, each counted once."""
        communicator = self._communicator
        dataset = make_dataset(
            self._data,
            self._reading,
            self._transforms,
            rank=communicator.rank,
            ranks=communicator.size,
        )
        with self._data.explained_reads():
            parts = [tuple(t.numpy() for t in self._predict(batch)) for batch in dataset]
        columns = [np.concatenate(column) for column in zip(*parts, strict=True)]
        columns = [communicator.all_gather(tf.constant(c)).numpy() for c in columns]
        order = stored_order(self._data, self._reading, communicator.size)
        labels, logits, *values = (column[order] for column in columns)
        slices = {
            name: slicer.table(labels, logits, ids)
            for (name, slicer), ids in zip(self._slicers.items(), values, strict=True)
        }
        details = ClickDetails(labels, logits) if self._detailed else None
        return Result(click_metrics(labels, logits), {"click": self._card()}, slices, details)

    def _card(self) -> dict[str, Any]:
        labels = self._data.read(_VIEW, self._split)[LABEL]
        assert isinstance(labels, np.ndarray)
        return {
            "dataset": self._data.schema.name,
            "split": self._split,
            "rows": len(labels),
            "clicks": int(labels.sum()),
            "labels_sha256": hashlib.sha256(labels.astype("<f4").tobytes()).hexdigest(),
        }


class _Slicer:
    """Groups rows by one feature: a column of the rows, or an attribute of their users or items."""

    def __init__(self, data: PreparedDataset, name: str) -> None:
        columns = {c.name for c in data.schema.view(_VIEW).columns}
        self._name, self._owner, self._values = name, "", None
        owners = [owner for owner in _OWNERS if owner in columns]
        attributes = {owner: read_attributes(data, owner) for owner in owners}  # type: ignore[arg-type]
        if name not in columns:
            self._owner = next((o for o, table in attributes.items() if name in table), "")
            known = [*columns, *(n for table in attributes.values() for n in table)]
            if not self._owner:
                raise InputError(
                    "evaluation.slices must name features of the data",
                    received=repr(name),
                    action=nearest(name, known),
                )
            self._values = tf.constant(attributes[self._owner][name])
        if data.schema.feature(name).kind not in (Kind.CATEGORICAL, Kind.USER, Kind.ITEM):
            raise InputError(
                "evaluation.slices must name categorical features",
                received=f"'{name}', which is {data.schema.feature(name).kind.value}",
            )
        self._raw = data.raw_ids(name)

    def ids(self, batch: Batch) -> tf.Tensor:
        """Returns the feature's id of each row: shape (batch,), int32."""
        if self._values is None:
            return batch[self._name]
        return tf.gather(self._values, batch[self._owner])

    def table(
        self, labels: np.ndarray, logits: np.ndarray, ids: np.ndarray
    ) -> list[dict[str, Any]]:
        """Returns a row for each value of the feature, the most frequent first."""
        values, counts = np.unique(ids, return_counts=True)
        table = []
        for value, count in sorted(zip(values, counts, strict=True), key=lambda v: -v[1]):
            mine = ids == value
            raw = str(self._raw[value - FIRST_ID]) if value >= FIRST_ID else "(unknown)"
            table.append(
                {"value": raw, "rows": int(count), **click_metrics(labels[mine], logits[mine])}
            )
        return table
