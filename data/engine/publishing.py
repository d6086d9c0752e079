"""Shards to a view of the dataset: final names, and behind them those of a dataset added to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from data.blocks import shard_name
from data.engine.appending import Previous
from data.engine.encoding import EncodedShard
from data.events import SPLITS
from data.histories import ROWS_BLOCK
from data.schema import Column, Shard, Split, View

VIEW = "rows"
_Place = Callable[[Path], object]  # puts a shard where it is told


def publish_rows(
    work: Path,
    folder: Path,
    columns: Sequence[Column],
    written: Sequence[dict[str, EncodedShard]],
    previous: Previous | None,
) -> View:
    """Moves the shards of all parts into the dataset's folder.

    Args:
        work: Where they are.
        folder: The dataset being written.
        columns: The view's columns.
        written: By part, its shards by split.
        previous: A dataset whose rows come before these.

    Returns:
        The view's entry for the schema.
    """
    (folder / VIEW).mkdir()
    splits: dict[str, Split] = {}
    longest_of_all: Counter[str] = Counter()
    for name in SPLITS:
        before = previous.splits(VIEW).get(name) if previous else None
        mine = [shards[name] for shards in written if name in shards]
        longest = Counter(before.longest if before else {})
        places: list[tuple[Shard, _Place]] = []
        if previous and before:
            places += [(shard, partial(previous.copy, shard)) for shard in before.shards]
        for encoded in mine:
            places.append((encoded.shard, (work / encoded.shard.file).replace))
            longest |= Counter(encoded.longest)
        if places:
            splits[name] = _split(folder, name, places, longest)
            longest_of_all |= longest
    ragged = {c.name: longest_of_all[c.name] for c in columns if c.ragged}
    return View(
        tuple(Column(c.name, c.feature, c.name in ragged, ragged.get(c.name)) for c in columns),
        splits,
    )


def _split(
    folder: Path, name: str, places: Sequence[tuple[Shard, _Place]], longest: Counter[str]
) -> Split:
    shards = []
    for index, (shard, place) in enumerate(places):
        file = shard_name(VIEW, name, index, len(places))
        place(folder / file)
        shards.append(Shard(file, shard.blocks, shard.rows, shard.bytes))
    rows = sum(shard.rows for shard in shards)
    return Split(rows, ROWS_BLOCK, dict(longest), tuple(shards))
