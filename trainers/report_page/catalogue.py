"""What lists of recommendations show of the catalogue, and what they keep showing.

Legend: N items.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from data.inspection.measures import gini

BUCKETS = 5


@dataclass(frozen=True)
class Exposure:
    """What is recommended.

    Attributes:
        coverage: Share of all items that are in at least one list.
        gini: Gini coefficient of how often each item is, those never shown too: 0 if all equally.
        popularity: Mean training events of a recommended item (Yin et al. 2012).
        novelty: Mean of -log2 of a recommended item's share of the training events, in bits: the
            self-information of Zhou et al. (2010).
        shares: Share of the recommendations that each bucket of popularity has, (BUCKETS,).
    """

    coverage: float
    gini: float
    popularity: float
    novelty: float
    shares: np.ndarray


def exposure(recommended: np.ndarray, events: np.ndarray) -> Exposure:
    """Returns what is recommended.

    Args:
        recommended: How often each item is in a list, (N,).
        events: Training events of each item, (N,).
    """
    weights = recommended / max(recommended.sum(), 1)
    surprise = -np.log2(np.maximum(events, 1) / max(events.sum(), 1))
    places = popularity_buckets(events)
    return Exposure(
        coverage=float((recommended > 0).mean()),
        gini=gini(recommended, of_all=True),
        popularity=float(weights @ events),
        novelty=float(weights @ surprise),
        shares=np.bincount(places, weights=weights, minlength=BUCKETS),
    )


def popularity_buckets(events: np.ndarray) -> np.ndarray:
    """Returns the bucket of each item, from 0 for the most popular: (N,), int64.

    Each bucket has about the same share of the training events, so that the first has few items
    and the last has many.
    """
    order = np.argsort(-events, kind="stable")
    middle = np.cumsum(events[order]) - events[order] / 2
    places = np.empty(len(events), np.int64)
    places[order] = np.minimum(BUCKETS * middle / max(events.sum(), 1), BUCKETS - 1)
    return places


def history_groups(history: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """Returns the group of each user by length of history, and the groups' names.

    The groups are about equally large; users of equal length are never parted.
    """
    shares = np.arange(1, BUCKETS) / BUCKETS
    edges = np.unique(np.quantile(history, shares, method="inverted_cdf"))
    places = np.unique(np.searchsorted(edges, history), return_inverse=True)[1]
    names = []
    for group in range(places.max() + 1):
        low, high = (int(f(history[places == group])) for f in (np.min, np.max))
        names.append(f"{low:,}" if low == high else f"{low:,}\N{EN DASH}{high:,}")
    return places, names
