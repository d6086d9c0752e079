"""Raw ids to ids and back, in the graph."""

from __future__ import annotations

import tensorflow as tf

from data.dataset import PreparedDataset
from data.errors import InputError
from data.hashing import hashed_ids
from data.schema import FIRST_ID, OOV_ID, PAD_ID


class RawIds(tf.Module):
    """Raw ids of one feature to ids.

    Args:
        data: The prepared dataset.
        feature: Name of the feature.
        pads: Whether requests pad lists of it, or leave it out, with "" or -1. If not, -1 may be
            a raw id of its own.

    Raises:
        InputError: A raw id of the vocabulary is the one that pads requests.
    """

    def __init__(self, data: PreparedDataset, feature: str, *, pads: bool = True) -> None:
        super().__init__()
        entry = data.schema.feature(feature)
        is_text = entry.raw_dtype == "string"
        self.dtype = tf.string if is_text else tf.int64
        self.padding: bytes | int = b"" if is_text else -1
        self._pads = pads
        self._buckets = entry.hash_buckets
        self._table = None
        if entry.hash_buckets:
            return
        assert entry.vocabulary is not None
        # TensorFlow makes no table of a file with an empty line either.
        if (pads or is_text) and (data.raw_ids(feature) == ("" if is_text else -1)).any():
            raise InputError(
                f"No raw id of '{feature}' may be the one that pads requests",
                received=repr("" if is_text else -1),
                where=data.folder / entry.vocabulary,
                action="Rename it in the source and prepare the data again",
            )
        if entry.cardinality == FIRST_ID:
            return  # TensorFlow makes no table of an empty file
        self._file = tf.saved_model.Asset(str(data.folder / entry.vocabulary))
        whole_line = tf.lookup.TextFileIndex.WHOLE_LINE
        self._table = tf.lookup.StaticHashTable(
            tf.lookup.TextFileInitializer(
                self._file,
                key_dtype=self.dtype,
                key_index=whole_line if is_text else 0,
                value_dtype=tf.int64,
                value_index=tf.lookup.TextFileIndex.LINE_NUMBER,
            ),
            default_value=OOV_ID - FIRST_ID,
        )

    def encode(self, raw: tf.Tensor) -> tf.Tensor:
        """Returns ids, int32: 0 for padding, 1 for what training never saw."""
        if self._buckets:
            texts = raw if self.dtype == tf.string else tf.strings.as_string(raw)
            ids = hashed_ids(texts, self._buckets)
        elif self._table is None:
            ids = tf.fill(tf.shape(raw), OOV_ID)
        else:
            ids = tf.cast(self._table.lookup(raw) + FIRST_ID, tf.int32)
        return tf.where(raw == self.padding, PAD_ID, ids) if self._pads else ids


class ReadableIds(RawIds):
    """Raw ids of one feature to ids and back.

    Args:
        data: The prepared dataset.
        feature: Name of the feature.
    """

    def __init__(self, data: PreparedDataset, feature: str) -> None:
        super().__init__(data, feature)
        raw = data.raw_ids(feature).tolist()
        shown = [r.encode() for r in raw] if self.dtype == tf.string else raw
        shown = [self.padding] * FIRST_ID + shown
        self._raw = tf.Variable(tf.constant(shown, self.dtype), trainable=False)

    def decode(self, ids: tf.Tensor) -> tf.Tensor:
        """Returns raw ids; padding for ids below 2."""
        return tf.gather(self._raw, ids)
