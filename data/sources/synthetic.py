r"""A synthetic world of interactions whose best reachable score is known.

With K latent tastes, user u is drawn to taste k at time t with weight

    theta_u(t) = (1 - s) theta_u0 + s theta_u1,      s = (t - start_u) / duration_u,

where theta_u0 ~ Dirichlet(concentration), and theta_u1 = (1 - drift) theta_u0 + drift Dirichlet.
Taste k leads to item i with probability phi_k(i), proportional to i's popularity (Zipf) times its
membership in k (Dirichlet). Items exist from release_i on: most from the start, cold ones late.
User u's event at time t, after events with items H, is

    p(i | u, t, H) = [release_i <= t] [i not in H] sum_k theta_uk(t) phi_k(i) / Z(u, t, H).

Numbers of events are log-normal, times uniform over the user's lifetime; neither depends on items.
Ratings are a mean plus item quality, user leniency, the item's membership in the taste that led to
it, and noise, rounded to 1 to 5 stars.

Why the oracle is Bayes-optimal: HR, NDCG and MRR of one positive fall with its rank, so their
expectation is greatest when candidates are ranked by their probability of being the positive
(rearrangement inequality). Among all unseen items that is p(i | u, t, H), which the oracle
evaluates with the true theta, phi, release, t and H. Among frozen candidates, the positive and
uniform draws from the vocabulary without touched items, every unseen item leaves equally many sets
of negatives to draw from, so by Bayes' rule the order is that of p again. Items outside the
vocabulary are misses for everyone. A held-out event that a rating threshold selected follows
p(i | u, t, H) times the probability of that rating, which the oracle leaves out.

A model sees no theta, t or release, and 50 events of a user do not pin theta down, so it stays
below; on one finite test set, luck moves either by about a standard error.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import polars as pl

from data.interactions import Interactions
from data.sources.synthetic_events import Events, draw_counts, draw_events
from data.sources.synthetic_oracle import SyntheticOracle
from data.sources.synthetic_world import FIRST_TIME, SyntheticOptions, World, draw_world
from data.times import SECONDS, TIME_UNIT

__all__ = ["SyntheticOptions", "load"]

# Raw ids leave gaps, so that code which takes them for encoded ids fails.
_FIRST_USER_ID, _USER_ID_STEP = 17, 3
_FIRST_ITEM_ID, _ITEM_ID_STEP = 1000, 7
_GENRE_MEMBERSHIP = 0.25  # an item has the genres of all tastes that make up this share of it


def load(options: SyntheticOptions) -> Interactions:
    """Draws a world and its events, ordered by user, then time.

    Users have attribute `segment`, the taste they lean to at first; items have `title` and
    `genre`, a list of the tastes they belong to. A function of `options` alone.

    Args:
        options: Size, predictability and seed.
    """
    world_seed, count_seed, event_seed = np.random.SeedSequence(options.seed).spawn(3)
    world = draw_world(options, np.random.default_rng(world_seed))
    counts = draw_counts(options, np.random.default_rng(count_seed))
    events = draw_events(world, counts, event_seed)
    user_ids = _FIRST_USER_ID + _USER_ID_STEP * np.arange(options.users)
    item_ids = _FIRST_ITEM_ID + _ITEM_ID_STEP * np.arange(options.items)
    return Interactions(
        name="synthetic",
        events=_event_frame(events, user_ids, item_ids),
        users=_user_frame(world, user_ids),
        items=_item_frame(world, item_ids),
        text_attributes=frozenset({"title"}),
        options=dataclasses.asdict(options),
        facts={TIME_UNIT: SECONDS},
        oracle=SyntheticOracle(world, events, user_ids, item_ids),
    )


def _event_frame(events: Events, user_ids: np.ndarray, item_ids: np.ndarray) -> pl.DataFrame:
    columns = [
        pl.Series("user", np.repeat(user_ids, np.diff(events.offsets))),
        pl.Series("item", item_ids[events.items]),
        pl.Series("rating", events.ratings),
        pl.Series("time", events.times).cast(pl.Int64) + FIRST_TIME,
    ]
    return pl.DataFrame(columns)


def _user_frame(world: World, user_ids: np.ndarray) -> pl.DataFrame:
    frame = pl.DataFrame({"user": user_ids, "segment": world.early.argmax(axis=1)})
    return frame.with_columns(segment=pl.format("segment {}", "segment"))


def _item_frame(world: World, item_ids: np.ndarray) -> pl.DataFrame:
    largest = world.membership.max(axis=1, keepdims=True)
    item, taste = np.nonzero(world.membership >= np.minimum(largest, _GENRE_MEMBERSHIP))
    genres = pl.DataFrame({"item": item_ids[item], "genre": taste}).with_columns(
        genre=pl.format("genre {}", "genre")
    )
    return (
        genres.group_by("item", maintain_order=True)
        .agg("genre")
        .select("item", pl.format("Synthetic item {}", "item").alias("title"), "genre")
    )
