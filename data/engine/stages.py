"""The stages of a preparation, each of which continues where it was interrupted."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from data.engine.encoding import EncodedShard
from data.engine.engines import Engine
from data.engine.fitting import NumberFit, fit_vocabulary
from data.engine.parsing import ParsedPart, parse_file
from data.engine.parts import read_part
from data.engine.progress import Progress
from data.engine.row_splits import RowSplits
from data.engine.source_files import SourceFile
from data.events import TRAIN
from data.feature import Kind
from data.spec.table_spec import FeatureSpec, TableSpec
from data.vocabulary import Vocabulary

# Path of a part, the split of its rows, its number and where to write, to shards by split.
_Write = Callable[[Path, np.ndarray, int, Path], dict[str, EncodedShard]]


@dataclass(frozen=True)
class TableOptions:
    """How to prepare a table.

    Attributes:
        seed: Seed of the order of train rows, and of the candidates.
        max_bad_lines: Largest share of malformed lines of a part to skip.
        part_bytes: Bytes of text in a part.
        append: Folder of a prepared dataset whose rows come before these, and whose ids keep their
            rows; empty for none.
    """

    seed: int = 0
    max_bad_lines: float = 0.0
    part_bytes: int = 1 << 25
    append: str = ""


@dataclass(frozen=True)
class Job:
    """What is prepared, how and where.

    Attributes:
        spec: What the columns mean.
        source: Where the rows are from, as given.
        files: The files of the rows; none of a builder of tensorflow-datasets.
        options: How to prepare them.
        work: Folder for what is not finished.
        engine: Where the work is done.
        report: Called with what is being done.
    """

    spec: TableSpec
    source: str
    files: list[SourceFile]
    options: TableOptions
    work: Path
    engine: Engine
    report: Callable[[str], None]

    def progress(self, stage: str, total: int) -> Progress | None:
        """Returns what counts a stage's work, where that can be seen from here."""
        if not self.engine.shares_memory:
            self.report(stage)
            return None
        return Progress(stage, total, self.report)


def parse(job: Job) -> list[ParsedPart]:
    """Writes the files as parts."""
    readings: list[SourceFile | str] = [*job.files] or [job.source]
    parse_one = partial(
        parse_file,
        spec=job.spec,
        work=job.work,
        max_bad_lines=job.options.max_bad_lines,
        part_bytes=job.options.part_bytes,
        workers=max(1, job.engine.workers // len(readings)),
        progress=job.progress("parsing", sum(file.size for file in job.files)),
    )
    found = job.engine.map(parse_one, list(enumerate(readings)))
    return [part for parts in found for part in parts if part.rows]


def fit(job: Job, splits: RowSplits) -> tuple[dict[str, Vocabulary], dict[str, NumberFit]]:
    """Fits vocabularies and the spread of numbers on train; both by name."""
    wanted, numbers = job.spec.vocabularies(), job.spec.of_kind(Kind.NUMERIC)
    job.report(f"fitting {len(wanted)} vocabularies and {len(numbers)} numbers on train")
    fit_one = partial(fit_vocabulary, splits.paths, splits.of_part)
    vocabularies = dict(zip(wanted, job.engine.map(fit_one, wanted.values()), strict=True))
    fitted = job.engine.map(partial(_fit_number, splits), numbers)
    return vocabularies, {f.name: found for f, found in zip(numbers, fitted, strict=True)}


def _fit_number(splits: RowSplits, feature: FeatureSpec) -> NumberFit:
    found = NumberFit(feature.transforms)
    for index, path in enumerate(splits.paths):
        column = read_part(path, [feature.name]).column(0)
        values = column.fill_null(feature.missing).to_numpy(zero_copy_only=False)
        is_train = splits.of_part(index) == TRAIN
        is_null = column.is_null().to_numpy(zero_copy_only=False)
        found.add(values[is_train], int(is_null[is_train].sum()))
    return found


def write_shards(
    job: Job, view: str, write: _Write, splits: RowSplits
) -> list[dict[str, EncodedShard]]:
    """Writes the shards of a view into a folder of its name, part by part.

    Returns:
        By part, its shards by split.
    """
    folder = job.work / view
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    progress = job.progress(f"encoding {view}", len(splits.paths))

    def encode(index: int) -> dict[str, Any]:
        split = splits.of_part(index)
        written = write(splits.paths[index], split, index, folder)
        if progress:
            progress.add(1, len(split))
        return written

    return job.engine.map(encode, range(len(splits.paths)))
