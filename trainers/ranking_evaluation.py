"""Ranking evaluation on frozen candidates and on all items, with its protocol card."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import tensorflow as tf

from configs.base import EvaluationConfig
from data.blocks import Ragged
from data.dataset import PreparedDataset
from data.errors import InputError
from data.pipeline import MASK, Batch, make_dataset
from data.reading import Reading, stored_order
from data.schema import FIRST_ID, PAD_ID, Candidates
from models.communicator import Communicator
from models.graphs import graph_function
from trainers.ranking_card import VIEW, ranking_card
from trainers.ranking_metrics import best_items, target_ranks, tied_targets
from trainers.result import Result
from trainers.user_ranks import RankingDetails, ShownItems, UserRanks, metric_columns

_CANDIDATES = {"sampled": "negative_item", "popular": "popular_item"}
_OF_USERS = ("user", "history", "targets", "unknown")
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
        detailed: Whether to return what was found of each user and item beside the means.

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
        detailed: bool = False,
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
        self._reading = Reading(VIEW, (split,), config.batch_size)
        self._protocols = {self._full_name(protocol): protocol for protocol in protocols}
        if data.split(VIEW, split).rows == 0:
            raise InputError("The split to evaluate must have users", received=repr(split))
        self._detailed = detailed
        self._ranked = graph_function(self._rank)

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
        return [column for name in self._protocols for column in metric_columns(self._ks, name)]

    def evaluate(self) -> Result:
        """Returns the metrics over all users of the split, each counted once."""
        communicator = self._communicator
        dataset = make_dataset(
            self._data, self._reading, rank=communicator.rank, ranks=communicator.size
        )
        cardinality = self._data.schema.cardinality("item")
        shown = {name: ShownItems(self._ks, cardinality) for name in self._listed()}
        batches = []
        with self._data.explained_reads():
            for batch in dataset:
                columns, lists = self._ranked(batch)
                batches.append({name: column.numpy() for name, column in columns.items()})
                for name, items in lists.items():
                    shown[name].add(items.numpy())
        columns = {name: self._gathered([b[name] for b in batches]) for name in batches[0]}
        recommended = {
            name: communicator.all_reduce_sum(tf.constant(of.counts())).numpy()
            for name, of in shown.items()
        }
        return self._result(columns, recommended)

    def _listed(self) -> list[str]:
        """Returns the protocols whose lists of items are looked at."""
        if not self._detailed:
            return []
        return [name for name, protocol in self._protocols.items() if protocol == "full"]

    def _gathered(self, parts: list[np.ndarray]) -> np.ndarray:
        return self._communicator.all_gather(tf.constant(np.concatenate(parts))).numpy()

    def _result(self, columns: dict[str, np.ndarray], recommended: dict[str, np.ndarray]) -> Result:
        """Takes the means of what all ranks have found, in an order that is that of no rank."""
        order = stored_order(self._data, self._reading, self._communicator.size)
        users, history, targets, unknown = (columns[name][order] for name in _OF_USERS)
        counts = {
            "users": len(users),
            "targets": int(targets.sum()),
            "unknown_targets": int(unknown.sum()),
        }
        metrics: dict[str, float] = {}
        cards: dict[str, dict[str, Any]] = {}
        protocols: dict[str, UserRanks] = {}
        for name, protocol in self._protocols.items():
            lengths, items = columns[f"{name}/found"], columns.get(f"{name}/items")
            ranks = UserRanks(
                Ragged(columns[f"{name}/ranks"], lengths).take(order),
                None if items is None else Ragged(items, lengths).take(order).values,
                columns[f"{name}/tied"][order],
                protocol == "full" and self._is_foldin,
            )
            means = ranks.means(targets, self._ks).tolist()
            metrics.update(zip(metric_columns(self._ks, name), means, strict=True))
            metrics[f"tied_targets/{name}"] = float(ranks.tied.sum() / targets.sum())
            among = None if protocol == "full" else self._candidates(protocol)
            cards[name] = ranking_card(self._data, self._split, among, counts)
            protocols[name] = ranks
        details = RankingDetails(
            self._split, users, history, targets, self._ks, protocols, recommended
        )
        return Result(metrics, cards, details=details if self._detailed else None)

    def _rank(self, batch: Batch) -> tuple[dict[str, tf.Tensor], dict[str, tf.Tensor]]:
        """Ranks the held-out items of a batch.

        Returns:
            Columns of its users, (users,), int32, of which the `ranks` and `items` of a protocol
            have a value for each held-out item that was `found` in the longest list; and, by
            protocol, the items that users would be shown, (users, longest list). Padding is left
            out of all.
        """
        real = batch[MASK] > 0
        targets, known = _count(batch["item"] != PAD_ID), _count(batch["item"] >= FIRST_ID)
        history = _count(batch["seen_item"] != PAD_ID)
        by_user = dict(
            zip(_OF_USERS, (batch["user"], history, targets, targets - known), strict=True)
        )
        by_hit, lists = {}, {}
        for name, protocol in self._protocols.items():
            if protocol == "full":
                scores, others, items = self._full_scores(batch)
            else:
                scores, others = self._sampled_scores(batch, _CANDIDATES[protocol])
            ranks = target_ranks(scores, others)
            found = (ranks <= max(self._ks)) & real[:, None]
            by_user[f"{name}/found"] = _count(found)
            by_user[f"{name}/tied"] = tf.cast(tied_targets(scores, others), tf.int32)
            by_hit[f"{name}/ranks"] = tf.cast(tf.boolean_mask(ranks, found), tf.int32)
            if self._detailed:
                in_order = tf.argsort(scores, direction="DESCENDING")  # as the ranks
                items_in_order = tf.gather(batch["item"], in_order, batch_dims=1)
                by_hit[f"{name}/items"] = tf.boolean_mask(items_in_order, found)
            if name in self._listed():
                listed = best_items(scores, batch["item"], others, items, max(self._ks))
                lists[name] = tf.boolean_mask(listed, real)
        by_user = {name: tf.boolean_mask(column, real) for name, column in by_user.items()}
        return {**by_user, **by_hit}, lists

    def _sampled_scores(self, batch: Batch, column: str) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns the scores of the targets (B, T) and of the candidates (B, C)."""
        targets, negatives = batch["item"], batch[column]
        scores = self._scorer.scores(batch, tf.concat([targets, negatives], axis=1))
        of_targets, of_negatives = tf.split(scores, [targets.shape[1], -1], axis=1)
        of_targets = tf.where(targets >= FIRST_ID, of_targets, _MINUS_INFINITY)
        return of_targets, tf.where(negatives >= FIRST_ID, of_negatives, _MINUS_INFINITY)

    def _full_scores(self, batch: Batch) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Returns the scores of the targets (B, T), and the best of all other items' with ids."""
        scores = self._scorer.item_scores(batch)  # (B, N)
        of_targets = tf.gather(scores, batch["item"], batch_dims=1)
        of_targets = tf.where(batch["item"] >= FIRST_ID, of_targets, _MINUS_INFINITY)
        excluded = tf.concat([batch["seen_item"], batch["item"]], axis=1)
        others = _without(scores, excluded)
        best = tf.math.top_k(others, min(max(self._ks), others.shape[1]), sorted=False)
        return of_targets, best.values, best.indices


def _count(flags: tf.Tensor) -> tf.Tensor:
    return tf.reduce_sum(tf.cast(flags, tf.int32), axis=1)


def _without(scores: tf.Tensor, items: tf.Tensor) -> tf.Tensor:
    """Returns the scores with the given items, padding and out-of-vocabulary at -inf."""
    users = tf.broadcast_to(tf.range(items.shape[0])[:, None], items.shape)
    places = tf.reshape(tf.stack([users, items], axis=2), [-1, 2])
    minus = tf.fill([tf.shape(places)[0]], _MINUS_INFINITY)
    scores = tf.tensor_scatter_nd_update(scores, places, minus)
    real = tf.range(scores.shape[1]) >= FIRST_ID
    return tf.where(real, scores, _MINUS_INFINITY)
