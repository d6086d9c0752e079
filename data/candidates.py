"""Frozen evaluation candidates: negatives drawn once, or taken as the source gives them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import numpy as np
import polars as pl

from data.blocks import Ragged
from data.events import Events
from data.schema import FIRST_ID, OOV_ID
from data.vocabulary import Vocabulary

DRAW_USERS = 8192  # users drawn at once, fewer where that
DRAW_CELLS = 1 << 25  # many chances would be held at once
HASH_PAIRS = 1 << 20  # candidates hashed at once


class TouchedItems:
    """Items of the vocabulary that each user has touched in any split."""

    def __init__(self, user: np.ndarray, item_id: np.ndarray, users: int, items: int) -> None:
        """Sorts the distinct pairs of user and item.

        Args:
            user: User of each event, from 0, of shape (events,).
            item_id: Item ids of shape (events,); ids below 2 do not count.
            users: Number of users.
            items: Number of items in the vocabulary.
        """
        known = item_id >= FIRST_ID
        keys = user[known].astype(np.int64) * items + (item_id[known] - FIRST_ID)
        keys.sort()
        if len(keys):
            keys = keys[np.concatenate([[True], keys[1:] != keys[:-1]])]
        self.items = items
        self.counts = np.bincount(keys // items, minlength=users)
        self.starts = np.cumsum(self.counts) - self.counts
        # A user's n-th touched item, less n, counts the untouched items before it, so that one
        # sorted search over all users finds the untouched item of a given rank.
        self._owner = np.repeat(np.arange(users), self.counts)
        keys -= np.arange(len(keys)) - self.starts[self._owner]
        self._keys = keys + self._owner  # stride items + 1: a rank may equal the number of items

    def touched(self, users: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Returns row and position in the vocabulary of each item that the given users touched."""
        lengths = self.counts[users]
        rows = np.repeat(np.arange(len(users)), lengths)
        nth = np.arange(len(rows)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        owners = users[rows]
        at = self.starts[owners] + nth
        return rows, self._keys[at] + nth - owners * (self.items + 1)

    def untouched(self, user: np.ndarray, rank: np.ndarray) -> np.ndarray:
        """Returns ids of the items at the given ranks among each user's untouched items."""
        queries = user.astype(np.int64) * (self.items + 1) + rank
        before = np.searchsorted(self._keys, queries, side="right") - self.starts[user]
        return (rank + before + FIRST_ID).astype(np.int32)


def draw_negatives(users: np.ndarray, touched: TouchedItems, count: int, seed: list[int]) -> Ragged:
    """Draws items that the users have not touched, uniformly and without repeats.

    Args:
        users: Users to draw for, of shape (rows,).
        touched: What they have touched.
        count: Negatives of a user; users with fewer untouched items get all of these.
        seed: Seed of the draw.

    Returns:
        Item ids, ascending within a row.
    """
    rng = np.random.default_rng(seed)
    parts, lengths = [], []
    step = max(1, min(DRAW_USERS, DRAW_CELLS // max(1, min(2 * count, touched.items))))
    for start in range(0, len(users), step):
        chunk = users[start : start + step]
        rows, ranks = _draw_ranks(rng, touched.items - touched.counts[chunk], count)
        parts.append(touched.untouched(chunk[rows], ranks))
        lengths.append(np.bincount(rows, minlength=len(chunk)).astype(np.int32))
    empty = np.zeros(0, np.int32)
    return Ragged(np.concatenate([empty, *parts]), np.concatenate([empty, *lengths]))


def draw_popular(
    users: np.ndarray, touched: TouchedItems, counts: np.ndarray, count: int, seed: list[int]
) -> Ragged:
    """Draws items that the users have not touched, in proportion to their events in training.

    One after the other and without repeats, which the largest of log(count) plus Gumbel noise do.

    Args:
        users: Users to draw for, of shape (rows,).
        touched: What they have touched.
        counts: Events of each item of the vocabulary, of shape (items,).
        count: Negatives of a user; users with fewer untouched items get all of these.
        seed: Seed of the draw.

    Returns:
        Item ids, ascending within a row.
    """
    rng = np.random.default_rng(seed)
    log_counts = np.log(np.maximum(counts, 1e-9)).astype(np.float32)
    step, width = max(1, DRAW_CELLS // len(counts)), min(count, len(counts))
    parts, lengths = [np.zeros(0, np.int32)], [np.zeros(0, np.int32)]
    for start in range(0, len(users), step):
        chunk = users[start : start + step]
        chance = log_counts + rng.gumbel(size=(len(chunk), len(counts))).astype(np.float32)
        chance[touched.touched(chunk)] = -np.inf
        best = np.sort(np.argpartition(-chance, width - 1, axis=1)[:, :width], axis=1)
        kept = np.isfinite(np.take_along_axis(chance, best, axis=1))
        parts.append((best[kept] + FIRST_ID).astype(np.int32))
        lengths.append(kept.sum(axis=1).astype(np.int32))
    return Ragged(np.concatenate(parts), np.concatenate(lengths))


def _draw_ranks(
    rng: np.random.Generator, sizes: np.ndarray, count: int
) -> tuple[np.ndarray, np.ndarray]:
    """Draws `count` distinct ranks below each size, or all where there are fewer.

    Returns:
        Row and rank of each draw, both of shape (draws,), sorted by row, then rank.
    """
    stride = np.int64(sizes.max(initial=0) + 1)
    crowded = sizes < 2 * count  # drawing again on a collision would take long there
    rows = np.flatnonzero(crowded)
    width = min(2 * count, int(sizes.max(initial=0)))  # no rank is higher, however many are asked
    chance = rng.random((len(rows), width))
    chance[np.arange(width) >= sizes[rows, None]] = np.inf
    order = np.argsort(chance, axis=1)[:, :count]
    drawn = np.isfinite(np.take_along_axis(chance, order, axis=1))
    keys = [(rows[:, None] * stride + order)[drawn]]
    free = np.flatnonzero(~crowded)
    pool = np.zeros(0, np.int64)
    missing = np.full(len(free), count)
    while missing.any():
        again = np.repeat(free, missing)
        pool = np.unique(np.concatenate([pool, again * stride + rng.integers(0, sizes[again])]))
        missing = count - np.bincount(pool // stride, minlength=len(sizes))[free]
    result = np.sort(np.concatenate([*keys, pool]))
    return result // stride, result % stride


def given_negatives(
    given: pl.DataFrame, users: np.ndarray, targets: Ragged, events: Events, items: Vocabulary
) -> Ragged:
    """Returns the source's own negatives, without the held-out items among them.

    Args:
        given: Rows of `Interactions.candidates` of one split.
        users: User codes of shape (rows,).
        targets: Codes of the held-out items of each row.
        events: All events, for raw ids.
        items: The item vocabulary.
    """
    rows = pl.DataFrame({"user": events.user_ids.gather(users)}).with_row_index("row")
    lists = rows.join(given.select("user", "negatives"), on="user").sort("row")
    flat = lists.explode("negatives").drop_nulls()
    row = flat["row"].to_numpy().astype(np.int64)
    item_codes = np.arange(len(events.item_ids))
    code = flat["negatives"].replace_strict(events.item_ids, item_codes, default=-1).to_numpy()
    ids = np.where(code >= 0, items.id_of_code[code], OOV_ID).astype(np.int32)
    stride = len(events.item_ids)
    held_out = np.repeat(np.arange(len(users)), targets.lengths) * stride + targets.values
    kept = (code < 0) | ~np.isin(row * stride + code, held_out)
    return Ragged(ids[kept], np.bincount(row[kept], minlength=len(users)).astype(np.int32))


def candidates_sha256(
    lists: Iterable[tuple[np.ndarray, Ragged]], users: Vocabulary, items: Vocabulary
) -> str:
    """Hashes the candidates by raw ids, so that the order of vocabularies does not matter.

    The hashed text holds a line `user<TAB>item` for each candidate, in stored order; ids that
    are out of vocabulary are empty.

    Args:
        lists: Some rows after the other: user ids of shape (rows,), and item ids, a list a row.
        users: The user vocabulary.
        items: The item vocabulary.
    """
    outside = pl.Series(["", ""])
    user_text = outside.append(users.raw_ids.cast(pl.String))
    item_text = pl.Series(["", ""]).append(items.raw_ids.cast(pl.String))
    digest = hashlib.sha256()
    for user_ids, negatives in lists:
        repeated = np.repeat(user_ids, negatives.lengths)
        for start in range(0, len(repeated), HASH_PAIRS):
            part = slice(start, start + HASH_PAIRS)
            chosen = item_text.gather(negatives.values[part])
            lines = user_text.gather(repeated[part]) + "\t" + chosen
            digest.update((lines.str.join("\n")[0] + "\n").encode())
    return digest.hexdigest()
