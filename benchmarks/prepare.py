"""Speed and memory of `data.prepare` on clicks in the shape of Criteo's log, and the pandas way.

  python -m benchmarks.prepare --rows=10000000

The clicks are made by `data.synthesize` as TSV and prepared by `--spec=criteo`, in a process of its
own each time, so that what is timed is what users wait for, the start of Python included. A
smaller table tells whether memory grows with the rows. The pandas way is what recommender projects
often do: read chunks, count categories, map them to ids by a dict, and write a tf.train.Example for
each row.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from absl import app, flags

_ROWS = flags.DEFINE_integer("rows", 10_000_000, "Rows of the table.", lower_bound=1000)
_SMALL_ROWS = flags.DEFINE_integer(
    "small_rows", 2_000_000, "Rows of the smaller table, for its memory.", lower_bound=1000
)
_PANDAS_ROWS = flags.DEFINE_integer(
    "pandas_rows", 100_000, "Rows that are prepared the pandas way.", lower_bound=1000
)
_SCALE = flags.DEFINE_float("scale", 0.01, "Factor of Criteo's numbers of categories.")
_WORK = flags.DEFINE_string(
    "work", None, "Folder for the files, which are removed; else a new one."
)

_NUMBERS = [f"I{n}" for n in range(1, 14)]
_CATEGORIES = [f"C{n}" for n in range(1, 27)]
_COLUMNS = ["label", *_NUMBERS, *_CATEGORIES]
_MIN_COUNT, _UNKNOWN, _FIRST_ID = 4, 1, 2  # as of the spec
_CHUNK_ROWS = 50_000


@dataclass(frozen=True)
class Run:
    """What a command took: seconds, and bytes of memory at its peak."""

    rows: int
    seconds: float
    peak: int

    @property
    def speed(self) -> float:
        """Rows a second."""
        return self.rows / self.seconds


def run(module: str, arguments: list[str], rows: int, log: Path) -> Run:
    """Runs a command of ours in a process of its own."""
    started = time.perf_counter()
    with log.open("wb") as output:
        child = subprocess.Popen(
            [sys.executable, "-m", module, *arguments], stdout=output, stderr=subprocess.STDOUT
        )
        # Not resource.RUSAGE_CHILDREN, which is the peak of all children so far.
        _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        sys.exit(log.read_text(errors="replace"))
    return Run(rows, time.perf_counter() - started, usage.ru_maxrss * 1024)


def synthesize(rows: int, work: Path) -> tuple[Path, Run]:
    """Writes a table. Returns it and what that took."""
    source = work / f"clicks-{rows}.tsv"
    arguments = ["--shape=criteo_1tb", f"--scale={_SCALE.value}", f"--rows={rows}"]
    return source, run("data.synthesize", [*arguments, f"--out={source}"], rows, work / "log")


def prepare(source: Path, rows: int, work: Path) -> Run:
    """Prepares a table."""
    arguments = ["--spec=criteo", f"--source={source}", f"--out={work / 'data'}", "--overwrite"]
    return run("data.prepare", arguments, rows, work / "log")


def pandas_way(source: Path, rows: int, out: Path) -> Run:
    """Prepares the first rows of a table in this process; its memory is not measured."""
    # Imported here: a child's peak is never below that of the process that starts it.
    import tensorflow as tf

    started = time.perf_counter()
    counts: dict[str, Counter[str]] = {name: Counter() for name in _CATEGORIES}
    for chunk in _chunks(source, rows):
        for name, counter in counts.items():
            counter.update(chunk[name].dropna())
    ids = {name: _ids(counter) for name, counter in counts.items()}
    written = 0
    with tf.io.TFRecordWriter(str(out)) as writer:
        for chunk in _chunks(source, rows):
            chunk[_NUMBERS] = chunk[_NUMBERS].fillna(0)
            for name in _CATEGORIES:
                chunk[name] = chunk[name].map(ids[name]).fillna(_UNKNOWN).astype(int)
            for row in chunk.to_dict("records"):
                writer.write(_example(tf, row))
            written += len(chunk)
    return Run(written, time.perf_counter() - started, 0)


def _chunks(source: Path, rows: int) -> Iterator[Any]:
    import pandas as pd

    texts = dict.fromkeys(_CATEGORIES, str)
    with pd.read_csv(
        source,
        sep="\t",
        header=None,
        names=_COLUMNS,
        dtype=texts,
        nrows=rows,
        chunksize=_CHUNK_ROWS,
    ) as reader:
        yield from reader


def _ids(counter: Counter[str]) -> dict[str, int]:
    kept = [raw for raw, count in counter.most_common() if count >= _MIN_COUNT]
    return {raw: n for n, raw in enumerate(kept, _FIRST_ID)}


def _example(tf: Any, row: dict[str, Any]) -> bytes:
    features = {
        name: tf.train.Feature(float_list=tf.train.FloatList(value=[row[name]]))
        for name in ("label", *_NUMBERS)
    }
    for name in _CATEGORIES:
        features[name] = tf.train.Feature(int64_list=tf.train.Int64List(value=[row[name]]))
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()


def measure(work: Path) -> None:
    """Measures and prints."""
    runs: dict[str, Run] = {}
    for rows in (_SMALL_ROWS.value, _ROWS.value):
        source, runs[f"data.synthesize, {rows:,} rows"] = synthesize(rows, work)
        runs[f"data.prepare, {rows:,} rows"] = prepare(source, rows, work)
    small, large = (runs[f"data.prepare, {n:,} rows"] for n in (_SMALL_ROWS.value, _ROWS.value))
    by_row = pandas_way(source, _PANDAS_ROWS.value, work / "rows.tfrecord")
    runs[f"the pandas way, {by_row.rows:,} rows"] = by_row
    print(f"{platform.machine()}, {os.cpu_count()} processors, --scale={_SCALE.value:g}")
    print(f"{'':<36}{'s':>9}{'rows/s':>12}{'peak GiB':>10}")
    for name, done in runs.items():
        peak = f"{done.peak / 2**30:10.2f}" if done.peak else ""
        print(f"{name:<36}{done.seconds:9.1f}{done.speed:12,.0f}{peak}")
    print(f"peak of the larger table over that of the smaller: {large.peak / small.peak:.2f}")
    print(f"data.prepare over the pandas way, in rows/s: {large.speed / by_row.speed:.1f}")


def main(argv: list[str]) -> None:
    """Measures in a folder that is removed."""
    del argv
    if _WORK.value:
        Path(_WORK.value).mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=_WORK.value) as folder:
        measure(Path(folder))


if __name__ == "__main__":
    app.run(main)
