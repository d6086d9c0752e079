"""The split of every row of the parts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from data.engine.parts import SPLIT, read_part, split_codes_of
from data.engine.splitting import split_by_rank
from data.events import SPLITS
from data.spec.table_spec import SplitSpec


class RowSplits:
    """Splits of the rows of parts: as stored, or by position, which needs the number of all rows.

    Args:
        split: How rows are split; None for as they are stored, whatever the spec says.
        paths: The parts, in the order of the source.
    """

    def __init__(self, split: SplitSpec | None, paths: Sequence[Path]) -> None:
        self.paths = list(paths)
        self._by_rank: np.ndarray | None = None
        if split and split.method == "position":
            rows = [len(self._stored(path)) for path in self.paths]
            self._starts = np.concatenate([[0], np.cumsum(rows)])
            self._by_rank = split_by_rank(split, int(self._starts[-1]))

    def of_part(self, index: int) -> np.ndarray:
        """Returns the split of each row of a part: positions in `SPLITS`, int8."""
        if self._by_rank is None:
            return self._stored(self.paths[index])
        return self._by_rank[self._starts[index] : self._starts[index + 1]]

    def counts(self) -> np.ndarray:
        """Returns the number of rows of each split, of shape (splits,)."""
        parts = [self.of_part(index) for index in range(len(self.paths))]
        counts = [np.bincount(part, minlength=len(SPLITS)) for part in parts]
        return np.sum(counts, axis=0) if counts else np.zeros(len(SPLITS), int)

    def _stored(self, path: Path) -> np.ndarray:
        return split_codes_of(read_part(path, [SPLIT]))
