"""Rows of trained tables into larger ones, whose vocabularies go on where the old ones end."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from data.errors import InputError
from models.table_config import TableConfig
from models.table_files import TableFiles, read_table
from models.tables import EmbeddingTables


def transfer_rows(
    folder: Path,
    old: Mapping[str, TableConfig],
    new: EmbeddingTables,
    known: Mapping[str, int],
) -> dict[str, int]:
    """Reads the rows of trained tables, and of their optimizers' slots.

    Args:
        folder: Files of the trained tables.
        old: What they were declared as, by name.
        new: Tables with the same names, as large or larger.
        known: By table that has grown, the ids that the old one knows: its first rows. Rows after
            those, such as that of a mask token, are the last ones of both.

    Returns:
        Rows read, by table.

    Raises:
        InputError: Tables of other names or widths, or another number of rows than `known` tells.
    """
    targets = {name: stack for stack in new.stacks for name in stack.offsets}
    if old.keys() != targets.keys():
        alone = ", ".join(sorted(old.keys() ^ targets.keys()))
        raise InputError(
            "A warm start needs a model with the same tables",
            received=f"{alone} in one of the two alone",
            action="Use the model settings and the columns of the run to start from",
        )
    for name, config in old.items():
        _check(config, new.configs[name], known.get(name))
        first = known.get(name, config.rows)
        grown_by = new.configs[name].rows - config.rows

        def to(rows: np.ndarray, first: int = first, grown_by: int = grown_by) -> np.ndarray:
            return np.where(rows < first, rows, rows + grown_by)

        read_table(TableFiles(folder, name), targets[name], to)
    return {name: config.rows for name, config in old.items()}


def _check(before: TableConfig, after: TableConfig, known: int | None) -> None:
    has_grown = after.rows != before.rows
    if before.kind != after.kind or after.rows < before.rows or (known is None and has_grown):
        raise InputError(
            f"The table '{before.name}' must be of the same kind, and grow with its vocabulary "
            "alone",
            received=f"{before.rows:,} rows of {before.kind}, now {after.rows:,} of {after.kind}",
            action="Use the model settings of the run to start from",
        )
