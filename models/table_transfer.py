"""Rows of trained tables into those of a model whose vocabularies have other ids, by raw id."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from data.errors import InputError
from data.renumbering import Renumbering
from models.table_config import TableConfig
from models.table_files import RowMap, TableFiles, read_table
from models.tables import EmbeddingTables


def transfer_rows(
    folder: Path,
    old: Mapping[str, TableConfig],
    new: EmbeddingTables,
    ids: Mapping[str, Renumbering],
) -> set[str]:
    """Reads rows of trained tables, and of their optimizers' slots, piece by piece.

    Rows of ids that are new keep their initial values.

    Args:
        folder: Files of the trained tables.
        old: What they were declared as, by name.
        new: Tables with the same names, on any number of ranks.
        ids: By table whose rows are those of a vocabulary, what became of its ids. Rows after
            those of the ids, such as that of a mask token, are the last ones of both. Other tables
            are moved as they are, unless they have another number of rows.

    Returns:
        Tables of another number of rows that no vocabulary explains, which were left as they are.

    Raises:
        InputError: Tables of other names, widths or optimizers.
    """
    targets = {name: stack for stack in new.stacks for name in stack.offsets}
    if old.keys() != targets.keys():
        alone = ", ".join(sorted(old.keys() ^ targets.keys()))
        raise InputError(
            "A warm start needs a model with the same tables",
            received=f"{alone} in one of the two alone",
            action="Use the model settings and the columns of the run to start from",
        )
    left = set()
    for name, config in old.items():
        _check_kind(config, new.configs[name])
        rows = new.configs[name].rows
        if name in ids:
            read_table(TableFiles(folder, name), targets[name], _row_map(config, rows, ids[name]))
        elif rows == config.rows:
            read_table(TableFiles(folder, name), targets[name])
        else:
            left.add(name)
    return left


def _row_map(before: TableConfig, rows: int, ids: Renumbering) -> RowMap:
    first = len(ids.new_of_old)
    more = [before.rows - first, rows - ids.cardinality]
    if more[0] != more[1]:
        raise InputError(
            f"The table '{before.name}' must have as many rows beyond its vocabulary",
            received=f"{more[0]:,}, now {more[1]:,}",
            action="Use the model settings of the run to start from",
        )

    def to(numbers: np.ndarray) -> np.ndarray:
        of_ids = ids.new_of_old[np.minimum(numbers, first - 1)]
        return np.where(numbers < first, of_ids, numbers - first + ids.cardinality)

    return to


def _check_kind(before: TableConfig, after: TableConfig) -> None:
    if before.kind != after.kind:
        raise InputError(
            f"The table '{before.name}' must be of the same kind",
            received=f"{before.kind}, now {after.kind}",
            action="Use the model settings of the run to start from",
        )
