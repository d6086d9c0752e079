"""The graphs that score: a user and an item, or the raw features of a row.

Legend: B requests, L longest list of the batch.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from configs.runs import TrainedRun
from data.errors import InputError
from data.feature import LABEL
from data.pipeline import MASK, Batch
from data.schema import FIRST_ID, OOV_ID, PAD_ID, Column, Feature, Kind
from models.graphs import graph_function
from serving.signatures.raw_ids import RawIds
from serving.signatures.request_checks import check_rows
from serving.signatures.user_scorers import UserScorer

_VIEW = "rows"
_INPUTS = (Kind.USER, Kind.ITEM, Kind.CATEGORICAL, Kind.MULTI_HOT, Kind.NUMERIC)


class PairScore(tf.Module):
    """Scores pairs of a user and an item.

    Args:
        user_ids: Raw ids of users.
        item_ids: Raw ids of items.
        scorer: What scores the items of users.
        is_binary: Whether the sigmoid of a score is a probability.
    """

    def __init__(
        self, user_ids: RawIds, item_ids: RawIds, scorer: UserScorer, is_binary: bool
    ) -> None:
        super().__init__()
        self._user_ids, self._item_ids, self._scorer = user_ids, item_ids, scorer
        self._is_binary = is_binary

    def signatures(self) -> dict[str, Any]:
        """Returns the signature by name."""
        dtypes = {"user": self._user_ids.dtype, "item": self._item_ids.dtype}
        specs = [tf.TensorSpec([None], dtype, name=name) for name, dtype in dtypes.items()]
        return {"score": graph_function(self.score, input_signature=specs)}

    def score(self, user: tf.Tensor, item: tf.Tensor) -> dict[str, tf.Tensor]:
        """Returns, each of shape (B,): the logit, whether training knows both ids, and, where
        logits are binary, the probability that the user takes the item.
        """
        check_rows(user=user, item=item)
        users, items = self._user_ids.encode(user), self._item_ids.encode(item)
        logit = self._scorer.of_items(users, items[:, None])[:, 0]
        return _answer(logit, self._is_binary, [users, items])


class RowScore(tf.Module):
    """Scores rows by their raw features, by way of the model's own transforms.

    Args:
        run: A run whose model takes rows.
        shared: Raw ids that the graph holds already, by feature.

    Raises:
        InputError: A column whose name no signature can have.
    """

    def __init__(self, run: TrainedRun, shared: Mapping[str, RawIds]) -> None:
        super().__init__()
        self._model = run.model.__call__  # bound, as in `user_scorers`
        self._tables, self._dense = run.model.tables, run.model.weights
        self._transforms = run.model.transforms(run.data, (), False)
        self._is_binary = run.model.logits_are_binary
        columns = input_columns(run)
        self._features = {c.name: run.data.schema.feature(c.feature) for c in columns}
        self._longest = {c.name: c.max_length or 1 for c in columns if c.ragged}
        self._ids = {
            # Requests pad lists; as a single value of a category, -1 may mean something.
            name: shared.get(feature.name)
            or RawIds(run.data, feature.name, pads=name in self._longest)
            for name, feature in self._features.items()
            if feature.kind is not Kind.NUMERIC
        }

    def signatures(self) -> dict[str, Any]:
        """Returns the signature by name."""
        specs = {
            name: tf.TensorSpec(
                [None, None] if name in self._longest else [None],
                self._ids[name].dtype if name in self._ids else tf.float32,
                name=name,
            )
            for name in self._features
        }
        return {"score": graph_function(self.score).get_concrete_function(**specs)}

    def score(self, **raw: tf.Tensor) -> dict[str, tf.Tensor]:
        """Scores rows.

        Args:
            raw: By column, raw values (B,), or (B, L) padded with "" or -1; numbers are float32,
                and NaN stands for a missing one.

        Returns:
            Each of shape (B,): the logit of the label 1, its probability, and `is_known` where rows
            have a user or an item: whether training knows them.
        """
        check_rows(**raw)
        batch = {name: self._encode(name, values) for name, values in raw.items()}
        owners = [batch[name] for name, feature in self._features.items() if _is_id(feature)]
        batch[MASK] = tf.ones([tf.shape(next(iter(raw.values())))[0]])
        for transform in self._transforms:
            batch = transform(batch, tf.zeros([2], tf.int32))
        return _answer(self._model(batch), self._is_binary, owners)

    def _encode(self, name: str, raw: tf.Tensor) -> tf.Tensor:
        feature = self._features[name]
        if name not in self._ids:
            default = tf.constant(feature.default or 0.0, tf.float32)
            return tf.cast(tf.where(tf.math.is_nan(raw), default, raw), feature.dtype)
        ids = self._ids[name].encode(raw)
        if name not in self._longest:
            return tf.maximum(ids, OOV_ID)  # as in training, what is missing is no padding
        listed = tf.ragged.boolean_mask(ids, ids != PAD_ID)[:, -self._longest[name] :]
        return listed.to_tensor(shape=[None, self._longest[name]])


def scores_rows(run: TrainedRun) -> bool:
    """Returns whether scores are of rows: they have labels, or more to say than user and item."""
    if run.model.view != _VIEW:
        return False
    is_labelled = any(c.name == LABEL for c in run.data.schema.view(_VIEW).columns)
    return is_labelled or not run.model.recommends


def input_columns(run: TrainedRun) -> list[Column]:
    """Returns the columns of rows that a model takes in.

    Raises:
        InputError: A column whose name no signature can have.
    """
    schema = run.data.schema
    left_out = getattr(run.config.model, "exclude", ())
    found = []
    for column in schema.view(_VIEW).columns:
        feature = schema.feature(column.feature)
        # An excluded item may still bring in its attributes.
        if feature.kind in _INPUTS and (column.name not in left_out or _is_id(feature)):
            found.append(column)
            if not column.name.isidentifier():
                raise InputError(
                    "The name of a column must be of letters, digits and _ to be served",
                    received=repr(column.name),
                    where=run.data.folder,
                    action=f"Rename it and train again, or --set=model.exclude={column.name}",
                )
    return found


def _is_id(feature: Feature) -> bool:
    return feature.kind in (Kind.USER, Kind.ITEM)


def _answer(logit: tf.Tensor, is_binary: bool, ids: list[tf.Tensor]) -> Batch:
    answer = {"logit": logit}
    if is_binary:
        answer["probability"] = tf.sigmoid(logit)
    if ids:
        answer["is_known"] = tf.reduce_all(tf.stack(ids) >= FIRST_ID, axis=0)
    return answer
