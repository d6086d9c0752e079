"""From the ids of one prepared dataset to those of another that knows the same raw ids."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from data.dataset import PreparedDataset
from data.schema import FIRST_ID, OOV_ID, PAD_ID

DROPPED = -1


@dataclass(frozen=True)
class Renumbering:
    """What became of the ids of a feature.

    Padding and out-of-vocabulary keep their ids and do not count.

    Attributes:
        new_of_old: The new id of each old one, shape (old cardinality,), int32; `DROPPED` of
            those whose raw id the new vocabulary lacks.
        cardinality: One more than the largest new id.
    """

    new_of_old: np.ndarray
    cardinality: int

    @property
    def kept(self) -> int:
        """How many raw ids both vocabularies have."""
        return int((self.new_of_old >= FIRST_ID).sum())

    @property
    def new(self) -> int:
        """How many raw ids only the new vocabulary has."""
        return self.cardinality - FIRST_ID - self.kept

    @property
    def dropped(self) -> int:
        """How many raw ids only the old vocabulary has."""
        return int((self.new_of_old == DROPPED).sum())

    def old_of_new(self) -> np.ndarray:
        """Returns the old id of each new one, shape (cardinality,), int32.

        What the old vocabulary lacks is out-of-vocabulary, as it is to a model trained on it.
        """
        old = np.full(self.cardinality, OOV_ID, np.int32)
        known = np.flatnonzero(self.new_of_old != DROPPED)
        old[self.new_of_old[known]] = known
        return old


def renumber(before: PreparedDataset, now: PreparedDataset, feature: str) -> Renumbering:
    """Compares the vocabularies of a feature.

    Args:
        before: The dataset with the old ids.
        now: The one with the new ids.
        feature: Name of a feature that has a vocabulary in both.
    """
    ids = [_by_text(data, feature, name) for data, name in ((before, "old"), (now, "new"))]
    known = ids[0].join(ids[1], on="raw_id")
    new_of_old = np.full(before.schema.cardinality(feature), DROPPED, np.int32)
    new_of_old[[PAD_ID, OOV_ID]] = PAD_ID, OOV_ID
    new_of_old[known["old"].to_numpy()] = known["new"].to_numpy()
    return Renumbering(new_of_old, now.schema.cardinality(feature))


def renumber_all(before: PreparedDataset, now: PreparedDataset) -> dict[str, Renumbering]:
    """Compares the vocabularies of all features that have one in both datasets, by feature.

    Features that share a vocabulary in both share what is returned.
    """
    found: dict[tuple[str, str], Renumbering] = {}
    by_feature = {}
    files = {feature.name: feature.vocabulary for feature in now.schema.features}
    for feature in before.schema.features:
        old, new = feature.vocabulary, files.get(feature.name)
        if old is not None and new is not None:
            if (old, new) not in found:
                found[old, new] = renumber(before, now, feature.name)
            by_feature[feature.name] = found[old, new]
    return by_feature


def _by_text(data: PreparedDataset, feature: str, name: str) -> pl.DataFrame:
    raw_ids = pl.Series("raw_id", data.raw_ids(feature)).cast(pl.String)
    ids = pl.int_range(FIRST_ID, len(raw_ids) + FIRST_ID, dtype=pl.Int32, eager=True)
    return pl.DataFrame({"raw_id": raw_ids, name: ids})
