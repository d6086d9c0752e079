"""Reads a prepared dataset as a whole: schema, vocabularies, columns, positives."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import tensorflow as tf

from data.blocks import ColumnData, Ragged, column_groups, decode_blocks
from data.errors import InputError, nearest
from data.schema import FIRST_ID, SCHEMA_FILE, Schema, Shard, Split


@dataclass(frozen=True)
class Positives:
    """Each user's items, for sampling negatives and for excluding what was seen.

    Attributes:
        items: Item ids of all users, by user and then ascending, without repeats, int32.
        starts: Where each user's items start, and the end: shape (user cardinality + 1,), int64.
    """

    items: np.ndarray
    starts: np.ndarray

    def counts(self) -> np.ndarray:
        """Returns the number of items of each user: shape (user cardinality,), int64."""
        return np.diff(self.starts)

    def users(self) -> np.ndarray:
        """Returns the user of each entry of `items`, int64."""
        return np.repeat(np.arange(len(self.starts) - 1), self.counts())


class PreparedDataset:
    """A prepared dataset in a folder.

    Args:
        folder: What `data.prepare` wrote.
        withheld: Splits that must not be read: `test` while a choice is still to be made.

    Attributes:
        folder: The folder.
        schema: What its `schema.json` states.
        schema_sha256: The hash of that file, which identifies the dataset.

    Raises:
        InputError: No prepared dataset there, or a file missing, of the wrong size, or a
            vocabulary of the wrong length.
    """

    def __init__(self, folder: Path | str, withheld: Sequence[str] = ()) -> None:
        self.folder = Path(folder)
        self._withheld = frozenset(withheld)
        self.schema = Schema.load(self.folder)
        self.schema_sha256 = self._hash_schema()
        for view in self.schema.views.values():
            for split in view.splits.values():
                for shard in split.shards:
                    self._check_size(shard)
        for feature in self.schema.features:
            if feature.vocabulary is not None:
                self._check_vocabulary(feature.vocabulary, (feature.cardinality or 0) - FIRST_ID)

    def _hash_schema(self) -> str:
        return hashlib.sha256((self.folder / SCHEMA_FILE).read_bytes()).hexdigest()

    def check_unchanged(self) -> None:
        """Checks that the folder holds the dataset that was opened.

        Raises:
            InputError: It holds another one, or none.
        """
        try:
            found = "another schema.json" if self._hash_schema() != self.schema_sha256 else ""
        except OSError as error:
            found = str(error)
        if found:
            raise InputError(
                "A dataset must stay as it is while it is read",
                received=found,
                where=self.folder,
                action="Put the dataset back, or prepare the new one into another folder and "
                "train on it in another run folder",
            )

    def _check_size(self, shard: Shard) -> None:
        path = self.folder / shard.file
        size = path.stat().st_size if path.is_file() else None
        if size != shard.bytes:
            raise InputError(
                f"The shard must hold the {shard.bytes} bytes that schema.json states",
                received="no such file" if size is None else f"{size} bytes",
                where=f"{path}, offset {min(size or 0, shard.bytes)}",
                action="The copy is incomplete or was changed: copy or prepare the dataset again",
            )

    def _check_vocabulary(self, file: str, lines: int) -> None:
        path = self.folder / file
        content = path.read_bytes() if path.is_file() else None
        found = None if content is None else content.count(b"\n")
        cut = (content or b"\n")[-1:] != b"\n"
        if found != lines or cut:
            held = "no such file" if found is None else f"{found:,} whole lines"
            raise InputError(
                f"The vocabulary must hold the {lines:,} lines that schema.json states",
                received=held + " and a line without its end" * cut,
                where=path,
                action="The copy is incomplete or was changed: copy or prepare the dataset again",
            )

    def split(self, view: str, split: str) -> Split:
        """Returns the schema's entry of one split of a view; all that is read passes here.

        Raises:
            InputError: The view has no such split, or it is withheld.
        """
        if split in self._withheld:
            raise InputError(
                "A withheld split must not be read", received=repr(split), where=self.folder
            )
        splits = self.schema.view(view).splits
        if split not in splits:
            raise InputError(
                f"The view '{view}' must have the split that is asked for",
                received=repr(split),
                where=self.folder,
                action=nearest(split, splits),
            )
        return splits[split]

    def paths(self, view: str, split: str) -> list[str]:
        """Returns the shards of one split of a view."""
        return [str(self.folder / shard.file) for shard in self.split(view, split).shards]

    def raw_ids(self, feature: str) -> np.ndarray:
        """Returns the raw ids of a feature: int64 or str, entry n belongs to id n + 2."""
        entry = self.schema.feature(feature)
        if entry.vocabulary is None:
            raise InputError("The feature must have a vocabulary", received=repr(feature))
        text = (self.folder / entry.vocabulary).read_text(encoding="utf-8")
        lines = text.split("\n")[:-1]
        return np.array(lines, dtype=np.int64 if entry.raw_dtype == "int64" else np.str_)

    def read(self, view: str, split: str) -> dict[str, ColumnData]:
        """Reads all rows of one split of a view into memory.

        Returns:
            By column: an array of shape (rows,), or `Ragged` of as many rows.
        """
        self.split(view, split)
        with self.explained_reads():
            records = list(tf.data.TFRecordDataset(self.paths(view, split)))
        # An empty list of records still decodes, into columns without rows.
        return self.decode(view, tf.stack(records) if records else tf.zeros([0], tf.string))

    def decode(self, view: str, records: tf.Tensor) -> dict[str, ColumnData]:
        """Returns the rows of block records of a view, of shape (blocks,), by column."""
        columns = self.schema.view(view).columns
        data: dict[str, ColumnData] = {}
        matrices, lists = decode_blocks(records, columns, self.schema)
        for dtype, group in column_groups(columns, self.schema).items():
            for index, column in enumerate(group):
                data[column.name] = matrices[dtype][:, index].numpy()
        for name, ragged in lists.items():
            data[name] = Ragged(ragged.flat_values.numpy(), ragged.row_lengths().numpy())
        return data

    def positives(self, splits: Sequence[str]) -> Positives:
        """Returns each user's known items in the given splits of the `histories` view."""
        return _positives(self, tuple(splits))

    def item_counts(self, splits: Sequence[str]) -> np.ndarray:
        """Returns the number of events of each item id: shape (item cardinality,), int64."""
        counts = np.zeros(self.schema.cardinality("item"), np.int64)
        for split in splits:
            items = self.read("histories", split)["item"]
            assert isinstance(items, Ragged)
            counts += np.bincount(items.values, minlength=len(counts))
        return counts

    @contextmanager
    def explained_reads(self) -> Iterator[None]:
        """Turns TensorFlow's error on a corrupted record into one that names file and record.

        Raises:
            InputError: A record is corrupted; or the files changed while they were read.
        """
        try:
            yield
        except tf.errors.OpError as error:
            self.check_unchanged()
            if isinstance(error, tf.errors.DataLossError):
                raise self._corruption(error) from error
            raise

    def _corruption(self, error: tf.errors.DataLossError) -> InputError:
        for view in self.schema.views:
            for split in self.schema.views[view].splits.keys() - self._withheld:
                for path in self.paths(view, split):
                    found = _first_bad_record(path)
                    if found is not None:
                        return InputError(
                            "Every record must match its checksum",
                            received="a corrupted or truncated record",
                            where=f"{path}, record {found[0]}, offset {found[1]}",
                            action="Copy or prepare the dataset again",
                        )
        return InputError("Every record must match its checksum", received=error, where=self.folder)


def _first_bad_record(path: str) -> tuple[int, int] | None:
    """Returns number, from 1, and byte offset of the first record that cannot be read, or None."""
    number, offset = 1, 0
    framing = 16  # length (8), its checksum (4), the payload's checksum (4)
    try:
        for record in tf.data.TFRecordDataset(path):
            number, offset = number + 1, offset + framing + len(record.numpy())
    except tf.errors.DataLossError:
        return number, offset
    return None


@lru_cache(maxsize=4)
def _positives(data: PreparedDataset, splits: tuple[str, ...]) -> Positives:
    pairs = []
    item_cardinality = data.schema.cardinality("item")
    for split in splits:
        histories = data.read("histories", split)
        users, items = histories["user"], histories["item"]
        assert isinstance(users, np.ndarray)
        assert isinstance(items, Ragged)
        pair_users = np.repeat(users.astype(np.int64), items.lengths)
        known = (items.values >= FIRST_ID) & (pair_users >= FIRST_ID)
        pairs.append((pair_users * item_cardinality + items.values)[known])
    keys = np.unique(np.concatenate(pairs))
    users_of = keys // item_cardinality
    edges = np.arange(data.schema.cardinality("user") + 1)
    return Positives((keys % item_cardinality).astype(np.int32), np.searchsorted(users_of, edges))
