"""A table of any size to a prepared dataset, in three stages that restart where they stopped.

    parse    files -> parts on disk, each of some 100,000 rows (`data.engine.parts`)
    fit      parts -> vocabularies, one after the other, and the spread of numbers: train only
    encode   parts -> shards (`data.engine.encoding`)

Memory holds a few parts, and one vocabulary's raw ids, whatever the table's size.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from data.atomic import atomic_folder, write_json
from data.engine.appending import Previous, features_sha256
from data.engine.encoding import EncodedShard, Encoder
from data.engine.engines import Engine
from data.engine.fitting import NumberFit, fit_vocabulary
from data.engine.parsing import ParsedPart, parse_file
from data.engine.parts import read_part
from data.engine.progress import Progress
from data.engine.publishing import VIEW, publish_rows
from data.engine.row_splits import RowSplits
from data.engine.source_files import SourceFile, find_files
from data.engine.work_folder import work_folder, work_key
from data.errors import InputError
from data.events import SPLITS, TRAIN
from data.feature import Kind
from data.output import check_output
from data.schema import SCHEMA_FILE, TOOL, Schema
from data.spec.table_spec import TableSpec
from data.vocabulary import Vocabulary


@dataclass(frozen=True)
class TableOptions:
    """How to prepare a table.

    Attributes:
        seed: Seed of the order of train rows.
        max_bad_lines: Largest share of malformed lines of a part to skip.
        part_bytes: Bytes of text in a part.
        append: Folder of a prepared dataset whose rows come before these, and whose ids keep their
            rows; empty for none.
    """

    seed: int = 0
    max_bad_lines: float = 0.0
    part_bytes: int = 1 << 25
    append: str = ""


def prepare_table(
    spec: TableSpec,
    source: str,
    options: TableOptions,
    out: Path,
    engine: Engine,
    *,
    overwrite: bool = False,
    report: Callable[[str], None] = lambda _: None,
) -> Schema:
    """Writes the prepared dataset of a table to the folder `out`.

    Does nothing where `out` was made from the same files, spec and options.

    Args:
        spec: What the columns mean.
        source: A file, a folder or a pattern, or a builder's name of tensorflow-datasets.
        options: How to prepare it.
        out: Folder to write; complete or absent afterwards.
        engine: Where the work is done.
        overwrite: Whether an existing folder is replaced.
        report: Called with what is being done.

    Raises:
        InputError: Input that breaks a rule, or `out` may not be written or replaced.
    """
    files = [] if spec.source.format == "tfds" else find_files(source, spec.source.files)
    key = work_key(spec, files, {**vars(options), "source": "" if files else source})
    if _is_finished(out, key):
        report(f"{out} was made from the same files, spec and options: nothing to do")
        return Schema.load(out)
    check_output(out, overwrite=overwrite, source=Path(source) if files else None)
    previous = Previous(Path(options.append), spec) if options.append else None
    with work_folder(out, key) as work:
        run = _Run(spec, source, files, options, work, engine, report)
        return run.write(out, key, previous, overwrite)


def _is_finished(out: Path, key: str) -> bool:
    try:
        return Schema.load(out).provenance.get("key") == key
    except InputError:
        return False


class _Run:
    """One preparation in its work folder."""

    def __init__(
        self,
        spec: TableSpec,
        source: str,
        files: list[SourceFile],
        options: TableOptions,
        work: Path,
        engine: Engine,
        report: Callable[[str], None],
    ) -> None:
        self._spec, self._source, self._files, self._options = spec, source, files, options
        self._work, self._engine, self._report = work, engine, report

    def write(self, out: Path, key: str, previous: Previous | None, overwrite: bool) -> Schema:
        """Runs the stages and publishes the dataset."""
        parts = self._parse()
        splits = RowSplits(self._spec.split, [part.path for part in parts])
        if not previous:  # new rows need not be a dataset of their own
            self._check(splits)
        vocabularies, fits = self._fit(splits)
        numbers = {name: fit.feature(self._spec.feature(name)) for name, fit in fits.items()}
        if previous:
            vocabularies, numbers = previous.vocabularies(vocabularies), previous.numbers()
        encoder = Encoder(self._spec, vocabularies, numbers, self._options.seed)
        shards = self._encode(encoder, splits)
        self._report("publishing")
        hashes = self._engine.map(SourceFile.sha256, self._files)
        for file in self._files:
            file.check_unchanged()
        with atomic_folder(out, overwrite=overwrite) as folder:
            for name, vocabulary in vocabularies.items():
                vocabulary.write(folder, name)
            schema = Schema(
                name=self._spec.name,
                features=tuple(encoder.features),
                views={
                    VIEW: publish_rows(self._work / VIEW, folder, encoder.columns, shards, previous)
                },
                provenance={
                    "files": dict(zip((f.name for f in self._files), hashes, strict=True)),
                    "source": self._source,
                    "options": vars(self._options),
                    "key": key,
                    "features_sha256": features_sha256(self._spec),
                    "tool": TOOL,
                },
                facts=self._facts(parts, fits),
                crosses=self._spec.crosses,
            )
            write_json(folder / SCHEMA_FILE, schema.to_json())
        return schema

    def _parse(self) -> list[ParsedPart]:
        readings: list[SourceFile | str] = [*self._files] or [self._source]
        total = sum(file.size for file in self._files)
        parse = partial(
            parse_file,
            spec=self._spec,
            work=self._work,
            max_bad_lines=self._options.max_bad_lines,
            part_bytes=self._options.part_bytes,
            workers=max(1, self._engine.workers // len(readings)),
            progress=self._progress("parsing", total),
        )
        found = self._engine.map(parse, list(enumerate(readings)))
        return [part for parts in found for part in parts if part.rows]

    def _check(self, splits: RowSplits) -> None:
        counts = splits.counts()
        if not counts[TRAIN] or counts.sum() == counts[TRAIN]:
            raise InputError(
                "There must be rows to train on and rows to hold out",
                received=", ".join(f"{s} {n:,}" for s, n in zip(SPLITS, counts, strict=True)),
                where="split",
                action="Change the split of the spec",
            )
        (label,) = self._spec.of_kind(Kind.LABEL)
        seen: set[float] = set()
        for index, path in enumerate(splits.paths):
            labels = read_part(path, [label.name]).column(0).to_numpy(zero_copy_only=False)
            seen |= set(np.unique(labels[splits.of_part(index) == TRAIN]).tolist())
            if len(seen) == 2:
                return
        raise InputError(
            "The label must be 1 in some rows of train and 0 in others",
            received=f"{sorted(seen)} alone",
            where=f"column '{label.column}'",
            action="Check positive, negative or above of the label, and the split",
        )

    def _fit(self, splits: RowSplits) -> tuple[dict[str, Vocabulary], dict[str, NumberFit]]:
        wanted = self._spec.vocabularies()
        self._report(f"fitting {len(wanted)} vocabularies and the spread of numbers on train")
        fit = partial(fit_vocabulary, splits.paths, splits.of_part)
        vocabularies = dict(zip(wanted, self._engine.map(fit, wanted.values()), strict=True))
        numbers = self._spec.of_kind(Kind.NUMERIC)
        fitted = self._engine.map(partial(_fit_number, splits), numbers)
        return vocabularies, {f.name: fit for f, fit in zip(numbers, fitted, strict=True)}

    def _encode(self, encoder: Encoder, splits: RowSplits) -> list[dict[str, EncodedShard]]:
        folder = self._work / VIEW
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        progress = self._progress("encoding", len(splits.paths))

        def encode(index: int) -> dict[str, EncodedShard]:
            split = splits.of_part(index)
            written = encoder.encode(splits.paths[index], split, index, folder)
            if progress:
                progress.add(1, len(split))
            return written

        return self._engine.map(encode, range(len(splits.paths)))

    def _progress(self, stage: str, total: int) -> Progress | None:
        """Returns what counts a stage's work, where that can be seen from here."""
        if not self._engine.shares_memory:
            self._report(stage)
            return None
        return Progress(stage, total, self._report)

    def _facts(self, parts: list[ParsedPart], fits: dict[str, NumberFit]) -> dict[str, Any]:
        skipped: Counter[str] = Counter()
        for part in parts:
            skipped[part.file] += part.skipped
        return {
            "preparation": {"skipped_lines": sum(skipped.values())},
            "missing_share": {n: f.missing / f.rows for n, f in fits.items() if f.missing},
        }


def _fit_number(splits: RowSplits, feature: Any) -> NumberFit:
    fit = NumberFit(feature.transforms)
    for index, path in enumerate(splits.paths):
        column = read_part(path, [feature.name]).column(0)
        values = column.fill_null(feature.missing).to_numpy(zero_copy_only=False)
        is_train = splits.of_part(index) == TRAIN
        is_null = column.is_null().to_numpy(zero_copy_only=False)
        fit.add(values[is_train], int(is_null[is_train].sum()))
    return fit
