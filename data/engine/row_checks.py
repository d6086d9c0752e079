"""What the rows of a table must be, before anything is fitted to them."""

from __future__ import annotations

import numpy as np

from data.engine.parts import read_part
from data.engine.row_splits import RowSplits
from data.errors import InputError
from data.events import SPLITS, TRAIN
from data.feature import Kind
from data.spec.table_spec import FeatureSpec, TableSpec
from data.splits import LEAVE_LAST_OUT_EVENTS


def check_rows(spec: TableSpec, splits: RowSplits) -> None:
    """Checks that there is something to learn and something to hold out.

    Raises:
        InputError: Nothing to train on or to hold out, or labels that are all the same.
    """
    counts = splits.counts()
    if not counts[TRAIN] or counts.sum() == counts[TRAIN]:
        by_user = spec.split.method == "leave_last_out"
        raise InputError(
            "There must be rows to train on and rows to hold out",
            received=", ".join(f"{s} {n:,}" for s, n in zip(SPLITS, counts, strict=True)),
            where="split",
            action=f"leave_last_out needs users of {LEAVE_LAST_OUT_EVENTS} rows; name another split"
            if by_user
            else "Change the split of the spec",
        )
    for label in spec.of_kind(Kind.LABEL):
        _check_label(label, splits)


def _check_label(label: FeatureSpec, splits: RowSplits) -> None:
    seen: set[float] = set()
    for index, path in enumerate(splits.paths):
        labels = read_part(path, [label.name]).column(0).to_numpy(zero_copy_only=False)
        seen |= set(np.unique(labels[splits.of_part(index) == TRAIN]).tolist())
        if len(seen) == 2:
            return
    raise InputError(
        "The label must be 1 in some rows of train and 0 in others",
        received=f"{sorted(seen)} alone",
        where=f"column '{label.column}'",
        action="Check positive, negative or above of the label, and the split",
    )
