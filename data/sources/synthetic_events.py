"""Draws the events of a synthetic world, all users at once and still exactly in time order.

Events are independent but for one rule: a user consumes an item once. Draws are therefore made
for all events together, and settled by deferred acceptance (Gale and Shapley, 1962): of a user's
events that drew the same item the earliest keeps it, the others draw again, until none clash. An
item once held by an event is from then on held by it or an earlier one, so every refused draw
would also have been refused had the events been drawn one after the other. Each event thus ends
with its first draw outside the items of all earlier events: rejection sampling from the model's
distribution, restricted to unconsumed items, with no approximation.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from data.sources.synthetic_world import FEWEST_EVENTS, SyntheticOptions, World

_CHUNK_EVENTS = 1_000_000  # bounds the memory of temporary arrays
_ACTIVITY_SPREAD = 0.8  # standard deviation of the logarithm of users' numbers of events
_MEAN_RATING = 3.3
_AFFINITY_STARS = 0.8  # stars that an item of purely the taste that led to it gains
_RATING_NOISE = 0.7  # standard deviation, in stars


@dataclass(frozen=True)
class Events:
    """Events ordered by user, then time.

    Attributes:
        offsets: Where each user's events start, and the end: shape (U + 1,), int64.
        items: Item index of each event, int32.
        times: Second of the window, int32, strictly rising within a user.
        ratings: 1 to 5 in whole stars, float32.
    """

    offsets: np.ndarray
    items: np.ndarray
    times: np.ndarray
    ratings: np.ndarray


def draw_counts(options: SyntheticOptions, rng: np.random.Generator) -> np.ndarray:
    """Draws how many events each user has, log-normal, `options.ratings` in all: (U,), int64."""
    activity = rng.lognormal(0.0, _ACTIVITY_SPREAD, options.users)
    low, high = 0.0, options.most_events / activity.min()
    for _ in range(100):  # bisection of the scale at which the clipped counts reach the total
        scale = (low + high) / 2
        counts = np.clip(activity * scale, FEWEST_EVENTS, options.most_events).astype(np.int64)
        low, high = (scale, high) if counts.sum() <= options.ratings else (low, scale)
    counts = np.clip(activity * low, FEWEST_EVENTS, options.most_events).astype(np.int64)
    short = options.ratings - counts.sum()
    counts[np.flatnonzero(counts < options.most_events)[:short]] += 1
    return counts


def draw_events(world: World, counts: np.ndarray, seed: np.random.SeedSequence) -> Events:
    """Draws `counts[u]` events of every user u.

    Args:
        world: The truth.
        counts: Events of each user, of shape (U,); leave enough released items to draw from.
        seed: Seed of the draws.
    """
    offsets = np.concatenate([[0], np.cumsum(counts)])
    items, times = np.empty(offsets[-1], np.int32), np.empty(offsets[-1], np.int32)
    ratings = np.empty(offsets[-1], np.float32)
    item_cdf = _stacked_cdf(world.phi)
    chunks = list(_chunks(offsets))
    for (first, last), chunk_seed in zip(chunks, seed.spawn(len(chunks)), strict=True):
        chunk = slice(offsets[first], offsets[last])
        draw = _ChunkDraw(world, item_cdf, first, counts[first:last], chunk_seed)
        items[chunk], times[chunk], ratings[chunk] = draw.events()
    return Events(offsets, items, times, ratings)


def _chunks(offsets: np.ndarray) -> Iterator[tuple[int, int]]:
    first, users = 0, len(offsets) - 1
    while first < users:
        reach = int(np.searchsorted(offsets, offsets[first] + _CHUNK_EVENTS, side="right")) - 1
        last = min(max(reach, first + 1), users)
        yield first, last
        first = last


def _stacked_cdf(distributions: np.ndarray) -> np.ndarray:
    """Joins cumulative distributions so that row r covers [r, r + 1): one sorted flat array."""
    cumulative = np.cumsum(distributions, axis=1, dtype=np.float64)
    cumulative /= cumulative[:, -1:]
    return (cumulative + np.arange(len(cumulative))[:, None]).reshape(-1)


def _draw_columns(stacked: np.ndarray, rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draws one column of each of `rows` from distributions joined by `_stacked_cdf`."""
    columns = len(stacked) // int(np.rint(stacked[-1]))
    found = np.searchsorted(stacked, rows + rng.random(len(rows)), side="right")
    # The sum above may round up to the next row.
    return np.minimum(found - rows * columns, columns - 1)


class _ChunkDraw:
    """The events of consecutive users, in arrays of shape (events,)."""

    def __init__(
        self,
        world: World,
        item_cdf: np.ndarray,
        first_user: int,
        counts: np.ndarray,
        seed: np.random.SeedSequence,
    ) -> None:
        self.world, self.item_cdf, self.counts = world, item_cdf, counts
        self.rng = np.random.Generator(np.random.SFC64(seed))
        users = slice(first_user, first_user + len(counts))
        both = np.stack([world.early[users], world.late[users]], axis=1)  # (users, 2, K)
        self.taste_cdf = _stacked_cdf(both.reshape(-1, both.shape[-1]))
        self.user = np.repeat(np.arange(len(counts)), counts)
        self.first = np.cumsum(counts) - counts
        self.position = np.arange(len(self.user)) - self.first[self.user]
        self.world_user = self.user + first_user
        self.time = self._draw_times()
        self.progress = world.progress(self.world_user, self.time)
        self.item = np.empty(len(self.user), np.int64)
        self.taste = np.empty(len(self.user), np.int64)

    def events(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Returns items, times and ratings."""
        redraw = active = np.arange(len(self.user))
        while len(redraw):
            self._draw_released(redraw)
            redraw = self._clashes(active)
            unsettled = np.zeros(len(self.counts), bool)
            unsettled[self.user[redraw]] = True
            active = active[unsettled[self.user[active]]]
        return self.item, self.time, self._draw_ratings()

    def _draw_times(self) -> np.ndarray:
        """Draws distinct sorted seconds: sorted draws with repeats, spread by their position."""
        sorted_draws = np.sort(self.user + self.rng.random(len(self.user))) - self.user
        room = self.world.duration[self.world_user] - self.counts[self.user] + 1
        within = np.clip((sorted_draws * room).astype(np.int64), 0, room - 1)
        return self.world.start[self.world_user] + within + self.position

    def _draw_released(self, events: np.ndarray) -> None:
        """Draws a taste and an item for `events`, again where the item is not out yet."""
        while len(events):
            side = self.rng.random(len(events)) < self.progress[events]  # early or late tastes
            taste = _draw_columns(self.taste_cdf, 2 * self.user[events] + side, self.rng)
            item = _draw_columns(self.item_cdf, taste, self.rng)
            self.taste[events], self.item[events] = taste, item
            events = events[self.world.release[item] > self.time[events]]

    def _clashes(self, events: np.ndarray) -> np.ndarray:
        """Returns those of `events` whose item an earlier event of the same user holds."""
        places = int(self.counts.max())
        key = (self.user[events] * len(self.world.release) + self.item[events]) * places
        key += self.position[events]
        key.sort()
        pair = key // places
        clashing = key[1:][pair[1:] == pair[:-1]]
        user = clashing // (places * len(self.world.release))
        return self.first[user] + clashing % places

    def _draw_ratings(self) -> np.ndarray:
        rating = self.rng.standard_normal(len(self.user), dtype=np.float32)
        rating *= _RATING_NOISE
        rating += _MEAN_RATING + self.world.quality[self.item]
        rating += self.world.leniency[self.world_user]
        rating += _AFFINITY_STARS * self.world.membership[self.item, self.taste]
        return np.clip(np.rint(rating), 1, 5)
