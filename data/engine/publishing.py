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
from data.schema import Column, Shard, Split, View

_Place = Callable[[Path], object]  # puts a shard where it is told


def publish_view(
    name: str,
    block_rows: int,
    work: Path,
    folder: Path,
    columns: Sequence[Column],
    written: Sequence[dict[str, EncodedShard]],
    previous: Previous | None,
) -> View:
    """Moves the shards of all parts into the dataset's folder.

    Args:
        name: The view's name.
        block_rows: Rows of a block.
        work: Folder of the preparation, in which the shards are in a folder of that name.
        folder: The dataset being written.
        columns: The view's columns.
        written: By part, its shards by split.
        previous: A dataset whose rows come before these.

    Returns:
        The view's entry for the schema.
    """
    (folder / name).mkdir()
    splits: dict[str, Split] = {}
    longest_of_all: Counter[str] = Counter()
    for split in SPLITS:
        before = previous.splits(name).get(split) if previous else None
        mine = [shards[split] for shards in written if split in shards]
        longest = Counter(before.longest if before else {})
        places: list[tuple[Shard, _Place]] = []
        if previous and before:
            places += [(shard, partial(previous.copy, shard)) for shard in before.shards]
        for encoded in mine:
            places.append((encoded.shard, (work / name / encoded.shard.file).replace))
            longest |= Counter(encoded.longest)
        if places:
            shards = _placed(folder, name, split, places)
            rows = sum(shard.rows for shard in shards)
            splits[split] = Split(rows, block_rows, dict(longest), shards)
            longest_of_all |= longest
    ragged = {c.name: longest_of_all[c.name] for c in columns if c.ragged}
    return View(
        tuple(Column(c.name, c.feature, c.name in ragged, ragged.get(c.name)) for c in columns),
        splits,
    )


def _placed(
    folder: Path, view: str, split: str, places: Sequence[tuple[Shard, _Place]]
) -> tuple[Shard, ...]:
    shards = []
    for index, (shard, place) in enumerate(places):
        file = shard_name(view, split, index, len(places))
        place(folder / file)
        shards.append(Shard(file, shard.blocks, shard.rows, shard.bytes))
    return tuple(shards)
