"""Ranking evaluation on frozen candidates and on all items, with its protocol card."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import tensorflow as tf

from configs.base import EvaluationConfig
from data.blocks import Ragged
from data.dataset import PreparedDataset
from data.errors import InputError
from data.pipeline import MASK, Batch, make_dataset
from data.reading import Reading
from data.schema import FIRST_ID, PAD_ID, Candidates
from models.communicator import Communicator
from models.graphs import graph_function
from trainers.ranking_metrics import NAMES, ranking_metrics, target_ranks, tied_targets
from trainers.result import Result

_VIEW = "histories"
_CANDIDATES = {"sampled": "negative_item", "popular": "popular_item"}
_MINUS_INFINITY = float("-inf")


class ItemScorer(Protocol):
    """What can be evaluated: any Recommender, or a baseline."""

    def scores(self, batch: Batch, items: tf.Tensor) -> tf.Tensor:
        """Scores items of shape (B, C)."""

    def item_scores(self, batch: Batch) -> tf.Tensor:
        """Scores all items: shape (B, item cardinality)."""


class RankingEvaluator:
    """Evaluates one scorer on one split; its graph is traced once and used at every epoch.

    Args:
        scorer: What to evaluate.
        data: The prepared dataset.
        split: `validation` or `test`.
        config: List lengths and batch size.
        protocols: Any of `sampled`, `popular` and `full`.
        communicator: Other processes, each of which evaluates its share of the users.

    Raises:
        InputError: The dataset has no such split, no frozen candidates for it, or only users that
            the scorer cannot know.
    """

    def __init__(
        self,
        scorer: ItemScorer,
        data: PreparedDataset,
        split: str,
        config: EvaluationConfig,
        protocols: Sequence[str],
        communicator: Communicator | None = None,
    ) -> None:
        self._scorer = scorer
        self._data = data
        self._split = split
        self._ks = config.ks
        self._is_foldin = bool(data.schema.facts.get("held_out_users"))
        if self._is_foldin and getattr(scorer, "scores_by", "seen_item") == "user":
            raise InputError(
                "Held-out users can only be scored by their items",
                received=f"{type(scorer).__name__}, which scores by the user's id",
                where=data.folder,
                action="Train vae_cf or a baseline on items, or prepare with another --split",
            )
        self._communicator = communicator or Communicator()
        self._reading = Reading(_VIEW, (split,), config.batch_size)
        self._protocols = {self._full_name(protocol): protocol for protocol in protocols}
        if data.split(_VIEW, split).rows == 0:
            raise InputError("The split to evaluate must have users", received=repr(split))
        self._sums = graph_function(self._batch_sums)

    def _full_name(self, protocol: str) -> str:
        if protocol == "full":
            return "foldin" if self._is_foldin else "full"
        candidates = self._candidates(protocol)
        if candidates is None:
            flag = "popular_negatives" if protocol == "popular" else "negatives"
            raise InputError(
                f"The {protocol} protocol needs frozen candidates in the dataset",
                received=f"none for split '{self._split}'",
                where=self._data.folder,
                action=f"Set evaluation.protocols=full, or prepare the data with --{flag}=100",
            )
        return f"{protocol}{candidates.negatives}"

    def _candidates(self, protocol: str) -> Candidates | None:
        key = f"{self._split}/popular" if protocol == "popular" else self._split
        return self._data.schema.candidates.get(key)

    def metric_names(self) -> list[str]:
        """Returns the names of the ranking metrics that `evaluate` measures."""
        return [f"{m}@{k}/{name}" for name in self._protocols for k in self._ks for m in NAMES]

    def evaluate(self) -> Result:
        """Returns the metrics over all users of the split, each counted once."""
        dataset = make_dataset(
            self._data,
            self._reading,
            rank=self._communicator.rank,
            ranks=self._communicator.size,
        )
        width = len(self._ks) * len(NAMES) + 4
        totals = np.zeros((len(self._protocols), width))
        with self._data.explained_reads():
            for batch in dataset:
                totals += self._sums(batch).numpy()
        totals = self._communicator.all_reduce_sum(tf.constant(totals)).numpy()
        metrics: dict[str, float] = {}
        cards: dict[str, dict[str, Any]] = {}
        for name, row in zip(self._protocols, totals, strict=True):
            users, targets, unknown, tied = row[-4:]
            values = (row[:-4] / users).reshape(len(self._ks), len(NAMES))
            for k, at_k in zip(self._ks, values, strict=True):
                metrics.update(
                    {f"{m}@{k}/{name}": float(v) for m, v in zip(NAMES, at_k, strict=True)}
                )
            metrics[f"tied_targets/{name}"] = float(tied / targets)
            cards[name] = self._card(name, int(users), int(targets), int(unknown))
        return Result(metrics, cards)

    def _card(self, name: str, users: int, targets: int, unknown: int) -> dict[str, Any]:
        smaller = "targets or k, whichever is smaller"
        card: dict[str, Any] = {
            "dataset": self._data.schema.name,
            "split": self._split,
            "split_sha256": self._split_sha256(),
            "users": users,
            "targets": targets,
            "unknown_targets": unknown,
            "unknown_targets_rule": "an item never seen in training counts as a miss",
            "ties": "targets rank last among equal scores",
            "recall": f"hits by {smaller if name == 'foldin' else 'targets'}",
        }
        protocol = self._protocols[name]
        candidates = self._candidates(protocol)
        if protocol != "full" and candidates is not None:
            return {
                **card,
                "candidates": f"{candidates.negatives} frozen negatives ({candidates.sampling})",
                "candidates_sha256": candidates.sha256,
                "excluded": "items that the user has touched in any split",
            }
        return {
            **card,
            "candidates": f"all {self._data.schema.cardinality('item') - FIRST_ID} items",
            "excluded": "the user's items of earlier splits and its other targets",
        }

    def _split_sha256(self) -> str:
        """Returns the hash of who is evaluated on what, after which past."""
        histories = self._data.read(_VIEW, self._split)
        digest = hashlib.sha256()
        for name in ("user", "item", "seen_item"):
            column = histories[name]
            parts = (column.values, column.lengths) if isinstance(column, Ragged) else (column,)
            for part in parts:
                digest.update(np.ascontiguousarray(part, "<i4").tobytes())
        return digest.hexdigest()

    def _batch_sums(self, batch: Batch) -> tf.Tensor:
        """Returns, for each protocol, the sums of the metrics and of the four counts."""
        rows = []
        for protocol in self._protocols.values():
            is_full = protocol == "full"
            column = _CANDIDATES.get(protocol, "")
            scores = self._full_scores(batch) if is_full else self._sampled_scores(batch, column)
            rows.append(self._sum_metrics(batch, *scores, is_full))
        return tf.stack(rows)

    def _sum_metrics(
        self, batch: Batch, target_scores: tf.Tensor, other_scores: tf.Tensor, is_full: bool
    ) -> tf.Tensor:
        present = batch["item"] != PAD_ID
        known = batch["item"] >= FIRST_ID
        target_scores = tf.where(known, target_scores, _MINUS_INFINITY)
        relevant = _count(present)
        ranks = target_ranks(target_scores, other_scores)
        per_user = ranking_metrics(ranks, relevant, self._ks, is_full and self._is_foldin)
        per_user = tf.reshape(per_user, [per_user.shape[0], -1])
        tied = tied_targets(target_scores, other_scores)
        counts = [tf.ones_like(relevant), relevant, relevant - _count(known), tied]
        everything = tf.concat([per_user, tf.cast(tf.stack(counts, 1), tf.float64)], axis=1)
        return tf.reduce_sum(everything * tf.cast(batch[MASK], tf.float64)[:, None], axis=0)

    def _sampled_scores(self, batch: Batch, column: str) -> tuple[tf.Tensor, tf.Tensor]:
        targets, negatives = batch["item"], batch[column]
        scores = self._scorer.scores(batch, tf.concat([targets, negatives], axis=1))
        of_targets, of_negatives = tf.split(scores, [targets.shape[1], -1], axis=1)
        return of_targets, tf.where(negatives >= FIRST_ID, of_negatives, _MINUS_INFINITY)

    def _full_scores(self, batch: Batch) -> tuple[tf.Tensor, tf.Tensor]:
        scores = self._scorer.item_scores(batch)  # (B, N)
        of_targets = tf.gather(scores, batch["item"], batch_dims=1)
        excluded = tf.concat([batch["seen_item"], batch["item"]], axis=1)
        others = _without(scores, excluded)
        best = tf.math.top_k(others, min(max(self._ks), others.shape[1]), sorted=False).values
        return of_targets, best


def _count(flags: tf.Tensor) -> tf.Tensor:
    return tf.reduce_sum(tf.cast(flags, tf.float32), axis=1)


def _without(scores: tf.Tensor, items: tf.Tensor) -> tf.Tensor:
    """Returns the scores with the given items, padding and out-of-vocabulary at -inf."""
    users = tf.broadcast_to(tf.range(items.shape[0])[:, None], items.shape)
    places = tf.reshape(tf.stack([users, items], axis=2), [-1, 2])
    minus = tf.fill([tf.shape(places)[0]], _MINUS_INFINITY)
    scores = tf.tensor_scatter_nd_update(scores, places, minus)
    real = tf.range(scores.shape[1]) >= FIRST_ID
    return tf.where(real, scores, _MINUS_INFINITY)
