"""Files that are cut off or change while they are read, and disks that are full."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from data.blocks import write_blocks
from data.engine import encoding, parsing
from data.errors import InputError
from data.schema import Column
from tests.data.bad_tables import (
    FEATURES,
    ROWS,
    check_nothing_is_left,
    check_recovers,
    frame,
    line,
    prepare,
    rows_of,
    write_records,
    write_table,
)
from tests.data.raw_files import replace_line, says


@pytest.mark.parametrize(
    ("name", "cut"), [("t.csv.gz", 60), ("t.csv.zst", 60), ("t.parquet", 900), ("t.tfrecord", 100)]
)
def test_file_that_is_cut_off(name: str, cut: int, tmp_path: Path) -> None:
    source = tmp_path / name
    features = FEATURES
    if name == "t.parquet":
        frame().write_parquet(source)
    elif name == "t.tfrecord":
        features = {key: FEATURES[key] for key in ("label", "city")}
        write_records(source, {})
    else:
        codec = {".gz": "gzip", ".zst": "zstd"}[source.suffix]
        text = write_table(tmp_path / "whole").read_bytes() * 20
        (tmp_path / "whole").unlink()
        source.write_bytes(pa.compress(text, codec=codec, asbytes=True))
    source.write_bytes(source.read_bytes()[:cut])
    with pytest.raises(InputError, match=says("The file must" if "tf" in name else "whole", name)):
        prepare(source, features)
    check_nothing_is_left(tmp_path, name)


def append_to(path: Path) -> None:
    with path.open("a") as file:
        file.write(line() + "\n")


def touch(path: Path) -> None:
    replace_line(path, 2, line(city="Bonn").encode())  # of the same size


@pytest.mark.parametrize("change", [append_to, Path.unlink, touch])
@pytest.mark.parametrize("stage", ["parsing", "after parsing"])
def test_file_that_changes_while_it_is_read(
    change: Callable[[Path], None], stage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = write_table(tmp_path / "t.csv")
    replace_line(source, 2, line(city="Rome").encode())
    os.utime(source, (1, 1))
    module, name = (parsing, "make_part") if stage == "parsing" else (encoding, "write_blocks")
    original = getattr(module, name)

    def changing(*arguments: Any) -> Any:
        if source.exists() and source.stat().st_mtime == 1:
            change(source)
        return original(*arguments)

    monkeypatch.setattr(module, name, changing)
    rule = says("A file of the source must stay as it is", "when the preparation began", "t.csv")
    with pytest.raises(InputError, match=rule):
        prepare(source)
    check_nothing_is_left(tmp_path, "t.csv")
    monkeypatch.undo()
    check_recovers(source)


def test_file_that_vanishes_before_its_turn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "days"
    folder.mkdir()
    write_table(folder / "a.csv")
    write_table(folder / "b.csv")
    original = parsing.make_part

    def vanishing(*arguments: Any) -> Any:
        (folder / "b.csv").unlink(missing_ok=True)
        return original(*arguments)

    monkeypatch.setattr(parsing, "make_part", vanishing)
    with pytest.raises(InputError, match=says("must stay as it is", "No such file", "b.csv")):
        prepare(folder)


@pytest.mark.parametrize(
    ("module", "name"),
    [(parsing, "write_part"), (encoding, "write_blocks"), (os, "fsync")],
)
def test_full_disk_leaves_what_is_done_and_the_same_command_goes_on(
    module: Any, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = write_table(tmp_path / "t.csv")

    def full(*arguments: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(tmp_path / "out"))

    monkeypatch.setattr(module, name, full)
    with pytest.raises(OSError, match=says("No space left on device", "out")):
        prepare(source)
    check_nothing_is_left(tmp_path, "t.csv")
    monkeypatch.undo()
    assert rows_of(prepare(source)) == ROWS
    assert {path.name for path in tmp_path.iterdir()} == {"t.csv", "out"}


def test_tensorflow_says_of_a_full_disk_what_the_system_says() -> None:
    columns = [Column("x", "x")]
    data = {"x": np.zeros(1_000_000, np.float32)}
    with pytest.raises(OSError, match="No space left on device") as told:
        write_blocks(Path("/dev/full"), columns, {"x": "float32"}, data, [0], 1_000_000)
    assert told.value.errno == errno.ENOSPC
    assert told.value.filename == "/dev/full"
