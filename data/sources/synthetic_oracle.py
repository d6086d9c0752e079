"""The best reachable scores of a synthetic world on held-out events.

Shape letters: U users, I items, K tastes, V items of the vocabulary, Q queries (held-out events).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from data.blocks import Ragged
from data.errors import InputError
from data.schema import FIRST_ID
from data.sources.synthetic_events import Events
from data.sources.synthetic_world import WINDOW, World

CUTOFFS = (1, 5, 10, 20)
MRR_CUTOFF = 10
_CHUNK_SCORES = 16_000_000  # bounds the memory of the matrix of scores


@dataclass(frozen=True)
class _Queries:
    """Held-out events: world's user (U stands for an unknown one), world's item, and row."""

    user: np.ndarray
    item: np.ndarray
    row: np.ndarray

    def chunks(self, size: int) -> Iterator[tuple[slice, _Queries]]:
        for start in range(0, len(self.row), size):
            part = slice(start, start + size)
            yield part, _Queries(self.user[part], self.item[part], self.row[part])


class SyntheticOracle:
    """Ranks with the probabilities that generated the events; see `data.sources.synthetic`.

    Args:
        world: The truth.
        events: All events of the world.
        user_ids: Raw ids of users, of shape (U,), rising.
        item_ids: Raw ids of items, of shape (I,), rising.
    """

    def __init__(
        self, world: World, events: Events, user_ids: np.ndarray, item_ids: np.ndarray
    ) -> None:
        self._world, self._user_ids, self._item_ids = world, user_ids, item_ids
        # Row U is a user of whom nothing is known: everyone's mean tastes, and no history.
        mean = ((world.early + world.late) / 2).mean(axis=0, keepdims=True)
        self._early = np.concatenate([world.early, mean])
        self._late = np.concatenate([world.late, mean])
        self._start = np.append(world.start, 0)
        self._duration = np.append(world.duration, WINDOW)
        counts = np.append(np.diff(events.offsets), 0)
        self._items, self._times = Ragged(events.items, counts), Ragged(events.times, counts)

    def best_scores(
        self,
        split: str,
        users: np.ndarray,
        targets: Ragged,
        seen: Ragged,
        negatives: Ragged,
        item_raw_ids: np.ndarray,
        user_raw_ids: np.ndarray,
        sampled: int,
    ) -> dict[str, float]:
        """Returns what the Bayes-optimal ranking scores on these held-out events.

        Every held-out event is one query with one positive, so the numbers compare with a
        model's where each user has one held-out event (leave-last-out). Ids are encoded: 0 pads,
        1 is out-of-vocabulary, `item_raw_ids[n]` has id n + 2.

        Args:
            split: The split's name, for errors.
            users: Encoded users of the rows, of shape (rows,). One with id 1 is ranked for with
                everyone's mean tastes.
            targets: Held-out items of each row. One with id 1 counts as a miss.
            seen: Items left out of the full ranking, by row.
            negatives: Candidates that each target of the row is ranked against.
            item_raw_ids: Vocabulary of items, int64 of shape (V,).
            user_raw_ids: Vocabulary of users, int64.
            sampled: Number of negatives that names the protocol.

        Returns:
            `hr@k` and `ndcg@k` for k of 1, 5, 10, 20, and `mrr@10`, by name and protocol, such as
            `hr@10/sampled99` and `hr@10/full`. The positive ranks last among equals. Empty where
            nothing is held out.

        Raises:
            InputError: An id or a held-out event that is not of this world.
        """
        if not len(targets.values):
            return {}
        vocabulary = _positions(self._item_ids, item_raw_ids, "item", split)
        owners = _positions(self._user_ids, user_raw_ids, "user", split)
        unknown = len(self._user_ids)
        owner = np.where(users < FIRST_ID, unknown, np.append(owners, 0)[users - FIRST_ID])
        known = np.flatnonzero(targets.values >= FIRST_ID)
        row = np.repeat(np.arange(len(users)), targets.lengths)[known]
        queries = _Queries(owner[row], vocabulary[targets.values[known] - FIRST_ID], row)
        full = np.full(len(targets.values), np.inf)  # rank from 0; a miss never enters
        few = full.copy()
        for part, chunk in queries.chunks(max(1, _CHUNK_SCORES // max(1, len(vocabulary)))):
            scores, best = self._scores(chunk, vocabulary, split)
            few[known[part]] = _sampled_ranks(scores, best, negatives.take(chunk.row))
            full[known[part]] = _full_ranks(scores, best, seen.take(chunk.row))
        return {**_metrics(few, f"sampled{sampled}"), **_metrics(full, "full")}

    def _scores(
        self, queries: _Queries, vocabulary: np.ndarray, split: str
    ) -> tuple[np.ndarray, np.ndarray]:
        """Returns p(i | u, t) up to a factor of each query, (Q, V), and the positive's, (Q,)."""
        user = queries.user
        history, times = self._items.take(user), self._times.take(user)
        query = np.repeat(np.arange(len(user)), history.lengths)
        found = history.values == queries.item[query]
        if np.count_nonzero(found) != np.count_nonzero(user < len(self._user_ids)):
            raise InputError(
                "Held-out events must be of the synthetic world that scores them",
                received="an item that its user never consumed",
                where=f"split {split}",
            )
        time = np.full(len(user), WINDOW, np.int64)
        time[query[found]] = times.values[found]
        scores = self._probabilities(user, time, vocabulary)
        column = np.full(len(self._item_ids), -1)
        column[vocabulary] = np.arange(len(vocabulary))
        best = scores[np.arange(len(user)), column[queries.item]]
        gone = (times.values < time[query]) & (column[history.values] >= 0)
        scores[query[gone], column[history.values[gone]]] = 0
        return scores, best

    def _probabilities(
        self, user: np.ndarray, time: np.ndarray, vocabulary: np.ndarray
    ) -> np.ndarray:
        """Returns theta . phi of released items, consumed or not, of shape (Q, V), float32."""
        progress = ((time - self._start[user]) / self._duration[user])[:, None]
        theta = (1 - progress) * self._early[user] + progress * self._late[user]
        scores = theta.astype(np.float32) @ self._world.phi[:, vocabulary].astype(np.float32)
        release = self._world.release[vocabulary]
        late = np.flatnonzero(release > 0)
        scores[:, late] *= release[late] <= time[:, None]
        return scores


def _positions(world_ids: np.ndarray, raw_ids: np.ndarray, noun: str, split: str) -> np.ndarray:
    raw_ids = np.asarray(raw_ids, np.int64)
    found = np.minimum(np.searchsorted(world_ids, raw_ids), len(world_ids) - 1)
    strange = world_ids[found] != raw_ids
    if strange.any():
        raise InputError(
            f"The {noun} vocabulary must hold raw ids of the synthetic world that scores it",
            received=raw_ids[strange][0],
            where=f"split {split}",
        )
    return found


def _sampled_ranks(scores: np.ndarray, best: np.ndarray, negatives: Ragged) -> np.ndarray:
    query = np.repeat(np.arange(len(best)), negatives.lengths)
    above = scores[query, negatives.values - FIRST_ID] >= best[query]
    return np.bincount(query[above], minlength=len(best))


def _full_ranks(scores: np.ndarray, best: np.ndarray, seen: Ragged) -> np.ndarray:
    """Returns ranks among all but `seen`; overwrites the scores of those with -1."""
    query = np.repeat(np.arange(len(best)), seen.lengths)
    inside = seen.values >= FIRST_ID
    scores[query[inside], seen.values[inside] - FIRST_ID] = -1
    return np.count_nonzero(scores >= best[:, None], axis=1) - 1  # the positive itself


def _metrics(ranks: np.ndarray, protocol: str) -> dict[str, float]:
    metrics = {}
    for k in CUTOFFS:
        hit = ranks < k
        metrics[f"hr@{k}/{protocol}"] = float(hit.mean())
        metrics[f"ndcg@{k}/{protocol}"] = float(np.where(hit, 1 / np.log2(ranks + 2), 0).mean())
    mrr = np.where(ranks < MRR_CUTOFF, 1 / (ranks + 1), 0).mean()
    return {**metrics, f"mrr@{MRR_CUTOFF}/{protocol}": float(mrr)}
