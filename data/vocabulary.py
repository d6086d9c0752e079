"""Raw ids to ids: the most frequent first, 0 for padding, 1 for what training never saw."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from data.atomic import write_text
from data.errors import InputError
from data.schema import FIRST_ID, OOV_ID, Feature, Kind


@dataclass(frozen=True)
class Vocabulary:
    """Raw ids of one feature and the way from codes to ids.

    Attributes:
        raw_ids: Raw ids, most frequent first, ties in sorted order; index n is id n + 2.
        id_of_code: Id of each code, of shape (codes,), int32; out-of-vocabulary is 1.
    """

    raw_ids: pl.Series
    id_of_code: np.ndarray

    @staticmethod
    def from_counts(sorted_ids: pl.Series, counts: np.ndarray) -> Vocabulary:
        """Builds the vocabulary of all ids that occur.

        Args:
            sorted_ids: Raw ids by code, sorted.
            counts: Occurrences by code, of shape (codes,).
        """
        order = np.lexsort((np.arange(len(counts)), -counts))[: int((counts > 0).sum())]
        id_of_code = np.full(len(counts), OOV_ID, np.int32)
        id_of_code[order] = np.arange(len(order), dtype=np.int32) + FIRST_ID
        return Vocabulary(sorted_ids.gather(order), id_of_code)

    @property
    def cardinality(self) -> int:
        """One more than the largest id."""
        return len(self.raw_ids) + FIRST_ID

    def ids(self, raw: pl.Series) -> np.ndarray:
        """Returns the ids of raw ids of the vocabulary's own type, int32; 1 for unknown ones."""
        ids = pl.int_range(FIRST_ID, self.cardinality, dtype=pl.Int32, eager=True)
        return raw.replace_strict(
            self.raw_ids, ids, default=OOV_ID, return_dtype=pl.Int32
        ).to_numpy()

    def feature(self, name: str, kind: Kind, default: int | None = None) -> Feature:
        """Returns the schema's entry."""
        raw_dtype = "string" if self.raw_ids.dtype == pl.String else "int64"
        return Feature(
            name, kind, "int32", self.cardinality, f"vocab/{name}.txt", raw_dtype, default
        )

    def write(self, folder: Path, name: str) -> None:
        """Writes `vocab/<name>.txt`, one raw id a line.

        Raises:
            InputError: A raw id that holds a line break.
        """
        text = self.raw_ids.cast(pl.String)
        broken = text.filter(text.str.contains(r"[\r\n]"))
        if len(broken):
            raise InputError(
                f"Raw ids of '{name}' must not hold line breaks",
                received=repr(broken[0]),
                action="Replace the line breaks in the source",
            )
        (folder / "vocab").mkdir(exist_ok=True)
        lines = text.str.join("\n")[0]
        write_text(folder / "vocab" / f"{name}.txt", f"{lines}\n" if len(text) else "")
