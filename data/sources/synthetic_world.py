"""The truth of the synthetic world: who likes what, and since when each item exists.

Shape letters: U users, I items, K tastes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from data.errors import InputError

FIRST_TIME = 1_600_000_000  # Unix seconds
WINDOW = 2 * 365 * 86_400  # seconds from the first possible event to the end
FEWEST_EVENTS = 5  # of one user; enough for every split
LARGEST_SHARE = 3  # no user consumes more than one in this many items: keeps rejection cheap

_LIFETIME = (0.1, 0.5)  # shortest and longest lifetime of a user, as a share of the window
_COLD_RELEASE = (0.75, 1.0)  # when cold items appear, as a share of the window
_ITEM_CONCENTRATION = 0.06  # of the Dirichlet of an item's tastes: one or two tastes each
_LEAST_AFFINITY = 0.02  # shared among tastes: every taste can lead to every item
_RATING_SPREAD = 0.35  # standard deviation of item quality and of user leniency, in stars


@dataclass(frozen=True)
class SyntheticOptions:
    """How large and how predictable the synthetic world is.

    Attributes:
        users: Number of users.
        items: Number of items.
        ratings: Number of interactions, exactly.
        tastes: Number of latent tastes.
        zipf: Exponent of item popularity by rank; 0 makes all items equally popular.
        concentration: Of the Dirichlet of a user's tastes; near 0 a user has one taste, large
            values make all users alike.
        drift: Share of a user's tastes that is replaced over the user's lifetime, in [0, 1].
        cold_share: Share of items released in the last quarter of the window, in [0, 0.3].
        seed: Seed of everything.

    Raises:
        InputError: A value out of range.
    """

    users: int = 2_000
    items: int = 1_000
    ratings: int = 100_000
    tastes: int = 16
    zipf: float = 0.5
    concentration: float = 0.1
    drift: float = 0.3
    cold_share: float = 0.03
    seed: int = 0

    def __post_init__(self) -> None:
        self._check("users", 1, 10_000_000)
        self._check("items", FEWEST_EVENTS * LARGEST_SHARE, 10_000_000)
        self._check("tastes", 1, 255)
        self._check("zipf", 0.0, 5.0)
        self._check("concentration", 0.01, 100.0)
        self._check("drift", 0.0, 1.0)
        self._check("cold_share", 0.0, 0.3)
        self._check("seed", 0, 2**63 - 1)
        self._check("ratings", FEWEST_EVENTS * self.users, self.users * self.most_events)

    @property
    def most_events(self) -> int:
        """Most events of one user."""
        return self.items // LARGEST_SHARE

    def _check(self, name: str, low: float, high: float) -> None:
        value = getattr(self, name)
        if not (math.isfinite(value) and low <= value <= high):
            raise InputError(
                f"{name} of the synthetic world must be from {low} to {high}" + self._reason(name),
                received=value,
                where=f"SyntheticOptions.{name}",
            )

    def _reason(self, name: str) -> str:
        if name != "ratings":
            return ""
        return (
            f" with {self.users} users and {self.items} items: each user has at least "
            f"{FEWEST_EVENTS} and at most {self.most_events}"
        )


@dataclass(frozen=True)
class World:
    """The parameters that generate the events.

    Attributes:
        early: Tastes of users at the start of their lifetime, of shape (U, K), float32.
        late: Tastes at the end, of shape (U, K), float32.
        start: First second of each user's lifetime in the window, of shape (U,), int64.
        duration: Seconds of each user's lifetime, of shape (U,), int64.
        membership: Tastes of items, of shape (I, K), float32; rows sum to 1.
        phi: Item distribution of each taste, of shape (K, I), float64; rows sum to 1.
        release: Second from which an item can be consumed, of shape (I,), int64.
        quality: What an item adds to its ratings, of shape (I,), float32.
        leniency: What a user adds to the given ratings, of shape (U,), float32.
    """

    early: np.ndarray
    late: np.ndarray
    start: np.ndarray
    duration: np.ndarray
    membership: np.ndarray
    phi: np.ndarray
    release: np.ndarray
    quality: np.ndarray
    leniency: np.ndarray

    def progress(self, users: np.ndarray, times: np.ndarray) -> np.ndarray:
        """Returns the share of their lifetimes that `users` have behind them at `times`."""
        return (times - self.start[users]) / self.duration[users]


def draw_world(options: SyntheticOptions, rng: np.random.Generator) -> World:
    """Draws the parameters of a world; see `data.sources.synthetic` for the model."""
    early, late = _draw_tastes(options, rng)
    membership = rng.dirichlet(np.full(options.tastes, _ITEM_CONCENTRATION), options.items)
    duration = (rng.uniform(*_LIFETIME, options.users) * WINDOW).astype(np.int64)
    return World(
        early=early,
        late=late,
        start=(rng.random(options.users) * (WINDOW - duration)).astype(np.int64),
        duration=duration,
        membership=membership.astype(np.float32),
        phi=_item_distributions(options, membership, rng),
        release=_draw_release(options, rng),
        quality=_normal(rng, options.items),
        leniency=_normal(rng, options.users),
    )


def _normal(rng: np.random.Generator, size: int) -> np.ndarray:
    return _RATING_SPREAD * rng.standard_normal(size, dtype=np.float32)


def _draw_tastes(
    options: SyntheticOptions, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    alpha = np.full(options.tastes, options.concentration)
    early = rng.dirichlet(alpha, options.users)
    fresh = rng.dirichlet(alpha, options.users)
    late = (1 - options.drift) * early + options.drift * fresh
    return early.astype(np.float32), late.astype(np.float32)


def _item_distributions(
    options: SyntheticOptions, membership: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    popularity = rng.permutation(np.arange(1, options.items + 1) ** -options.zipf)
    weights = popularity[None, :] * (membership.T + _LEAST_AFFINITY / options.tastes)
    return weights / weights.sum(axis=1, keepdims=True)


def _draw_release(options: SyntheticOptions, rng: np.random.Generator) -> np.ndarray:
    release = np.zeros(options.items, np.int64)
    cold = rng.permutation(options.items)[: round(options.cold_share * options.items)]
    release[cold] = (rng.uniform(*_COLD_RELEASE, len(cold)) * WINDOW).astype(np.int64)
    return release
