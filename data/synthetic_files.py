"""Synthetic clicks to files: text that is laid out as bytes, or Parquet.

A line has the label, the counts, then the raw ids, each of them eight hexadecimal digits; those of
a list have a bar between them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import yaml

from data.engine.source_files import SEPARATORS
from data.synthetic_clicks import ClickBlock
from data.synthetic_columns import BLOCK_ROWS
from data.synthetic_shape import LABEL, ClickShape

LIST_SEPARATOR = "|"
_ID_BYTES = 8
_ABSENT = b"\0"  # fills what a line does not need, and is left out of the file
_GROUP_BLOCKS = 8  # blocks of a Parquet row group


def _digit_table() -> tuple[np.ndarray, np.ndarray]:
    """Returns 0 to 9999 in four bytes each, with leading zeros and without, uint32."""
    padded = np.frombuffer("".join(f"{n:04d}" for n in range(10_000)).encode(), np.uint32)
    plain = np.frombuffer(b"".join(f"{n}".encode().rjust(4, _ABSENT) for n in range(10_000)), "u4")
    return padded, plain


_PADDED, _PLAIN = _digit_table()
_HEX = np.frombuffer("".join(f"{n:04x}" for n in range(1 << 16)).encode(), np.uint32)


def write_rows(path: Path, shape: ClickShape, blocks: Iterable[ClickBlock], form: str) -> None:
    """Writes rows to one file.

    Args:
        path: The file.
        shape: The columns.
        blocks: The rows.
        form: `tsv`, `csv` or `parquet`.
    """
    if form == "parquet":
        _write_parquet(path, shape, blocks)
        return
    lines = _Lines(shape, SEPARATORS[form])
    with path.open("wb") as file:
        if form == "csv":
            file.write((SEPARATORS[form].join(shape.names) + "\n").encode())
        for block in blocks:
            lines.write(block, file)


def feature_spec(shape: ClickShape, form: str, files: Sequence[str]) -> str:
    """Returns the `features.yaml` that prepares such files.

    Args:
        shape: The columns.
        form: `tsv`, `csv` or `parquet`.
        files: Patterns of the names of the files in their folder.
    """
    source: dict[str, Any] = {"format": form, "files": list(files)}
    if form == "tsv":
        source |= {"quote": "", "header": False, "columns": shape.names}
    features: dict[str, dict[str, Any]] = {LABEL: {"kind": "label"}}
    for number in shape.numeric:
        features[number.name] = {"kind": "numeric", "transforms": ["log1p", "normalise"]}
    for column in shape.categorical:
        features[column.name] = {"kind": "multi_hot" if column.is_list else "categorical"}
        if column.is_list:
            features[column.name]["separator"] = LIST_SEPARATOR
    split = {"method": "position", "validation": 0.1, "test": 0.1}
    spec = {"name": shape.name, "source": source, "split": split, "features": features}
    text = yaml.safe_dump(spec, sort_keys=False, default_flow_style=None, width=100)
    return f"# Written by data.synthesize.\n{text}"


class _Lines:
    """Lays out the lines of a block in columns of fixed width, and leaves out what is absent."""

    def __init__(self, shape: ClickShape, separator: str) -> None:
        fields: list[Any] = [(LABEL, "u1")]
        for number in shape.numeric:
            fields += [(f"{number.name} separator", "u1"), (number.name, "u4", (2,))]
        for column in shape.categorical:
            slot = np.dtype([("separator", "u1"), ("text", "u8")])
            fields.append((column.name, slot, (column.hotness[-1],)))
        self._lines = np.zeros(BLOCK_ROWS, np.dtype([*fields, ("end", "u1")]))
        self._lines["end"] = ord("\n")
        for number in shape.numeric:
            self._lines[f"{number.name} separator"] = ord(separator)
        for column in shape.categorical:
            self._lines[column.name]["separator"][:, 0] = ord(separator)

    def write(self, block: ClickBlock, file: IO[bytes]) -> None:
        """Writes the lines of a block."""
        lines = self._lines[: len(block.labels)]
        lines[LABEL] = block.labels + ord("0")
        for name, counts in block.numbers.items():
            lines[name] = _digits(counts)
        for name, raw_ids in block.raw_ids.items():
            present, texts = block.present[name], _hex_texts(raw_ids)
            lines[name]["text"] = texts if present is None else texts * present
            if raw_ids.shape[1] > 1:
                bar = np.uint8(ord(LIST_SEPARATOR))
                later = slice(1, None)
                lines[name]["separator"][:, later] = (
                    bar if present is None else bar * present[:, later]
                )
        file.write(lines.tobytes().translate(None, _ABSENT))


def _digits(counts: np.ndarray) -> np.ndarray:
    """Returns counts in eight bytes each, absent ones first: (R, 2), uint32; none for -1."""
    digits = np.zeros((len(counts), 2), np.uint32)
    high = counts // 10_000
    low = counts - 10_000 * high
    if counts.max(initial=0) >= 10_000:
        digits[:, 0] = np.where(high > 0, _PLAIN[high], 0)
    digits[:, 1] = np.where(high > 0, _PADDED[low], _PLAIN[low])
    digits[counts < 0] = 0
    return digits


def _hex_texts(raw_ids: np.ndarray) -> np.ndarray:
    """Returns the texts of raw ids, eight bytes in a uint64 each: of the same shape."""
    halves = np.ascontiguousarray(raw_ids).view(np.uint16)
    return _HEX[halves].view(np.uint64)


def _write_parquet(path: Path, shape: ClickShape, blocks: Iterable[ClickBlock]) -> None:
    lists = {column.name for column in shape.categorical if column.is_list}
    with pq.ParquetWriter(path, _arrow_schema(shape, lists)) as writer:
        tables = _tables(shape, lists, blocks)
        while group := list(islice(tables, _GROUP_BLOCKS)):
            writer.write_table(pa.concat_tables(group))


def _arrow_schema(shape: ClickShape, lists: set[str]) -> pa.Schema:
    fields = [(LABEL, pa.int8()), *((number.name, pa.int32()) for number in shape.numeric)]
    for column in shape.categorical:
        text = pa.string()
        fields.append((column.name, pa.list_(text) if column.name in lists else text))
    return pa.schema(fields)


def _tables(shape: ClickShape, lists: set[str], blocks: Iterable[ClickBlock]) -> Iterator[pa.Table]:
    schema = _arrow_schema(shape, lists)
    for block in blocks:
        columns = [pa.array(block.labels, pa.int8())]
        columns += [pa.array(v, pa.int32(), mask=v < 0) for v in block.numbers.values()]
        for name, raw_ids in block.raw_ids.items():
            present = block.present[name]
            columns.append((_list_array if name in lists else _text_array)(raw_ids, present))
        yield pa.Table.from_arrays(columns, schema=schema)


def _text_array(raw_ids: np.ndarray, present: np.ndarray | None) -> pa.Array:
    """Returns raw ids of any shape as texts, null where they are not there."""
    texts = _hex_texts(raw_ids.reshape(-1))
    offsets = np.arange(len(texts) + 1, dtype=np.int32) * np.int32(_ID_BYTES)
    array = pa.StringArray.from_buffers(len(texts), pa.py_buffer(offsets), pa.py_buffer(texts))
    return array if present is None else pc.if_else(pa.array(present.reshape(-1)), array, None)


def _list_array(raw_ids: np.ndarray, present: np.ndarray | None) -> pa.Array:
    """Returns the raw ids that are there as lists."""
    if present is None:
        present = np.ones(raw_ids.shape, bool)
    offsets = np.concatenate([[0], np.cumsum(present.sum(axis=1))]).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), _text_array(raw_ids[present], None))
