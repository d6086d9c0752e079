"""A table of any size to a prepared dataset, in stages that restart where they stopped.

    parse     files -> parts on disk, each of some 100,000 rows (`data.engine.parts`)
    regroup   parts -> parts by user, where users must be seen whole (`data.engine.regrouping`)
    fit       parts -> vocabularies, one after the other, and the spread of numbers: train only
    encode    parts -> shards of rows, and of histories where rows have no label
    publish   shards -> the dataset, in one rename

Memory holds a few parts, and one vocabulary's raw ids, whatever the table's size.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from data.atomic import atomic_folder, write_json
from data.blocks import Ragged
from data.candidates import candidates_sha256
from data.dataset import PreparedDataset
from data.engine.appending import Previous, features_sha256
from data.engine.attribute_tables import AttributeTable, find_attribute_tables
from data.engine.encoding import EncodedShard, Encoder
from data.engine.engines import Engine
from data.engine.fitting import NumberFit
from data.engine.publishing import publish_view
from data.engine.regrouping import regroup
from data.engine.row_checks import check_rows
from data.engine.row_splits import RowSplits
from data.engine.source_files import SourceFile, find_files
from data.engine.stages import Job, TableOptions, fit, parse, write_shards
from data.engine.user_histories import HistoryWriter, train_item_counts
from data.engine.work_folder import work_folder, work_key
from data.errors import InputError
from data.feature import Feature, Kind
from data.histories import HISTORIES_BLOCK, ROWS_BLOCK
from data.output import check_output
from data.row_stream import stream_rows
from data.schema import SCHEMA_FILE, TOOL, Candidates, Column, Schema, View
from data.spec.table_spec import TableSpec
from data.times import MICROSECONDS, TIME_UNIT
from data.vocabulary import Vocabulary

ROWS, HISTORIES = "rows", "histories"


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
    tables = find_attribute_tables(spec, source)
    all_files = [*files, *(file for table in tables for file in table.files)]
    key = work_key(spec, all_files, {**vars(options), "source": "" if files else source})
    if _is_finished(out, key):
        report(f"{out} was made from the same files, spec and options: nothing to do")
        return Schema.load(out)
    check_output(out, overwrite=overwrite, source=Path(source) if files else None)
    previous = Previous(Path(options.append), spec) if options.append else None
    with work_folder(out, key) as work:
        job = Job(spec, source, files, options, work, engine, report)
        written = _write_shards(job, previous)
        report("publishing")
        hashes = engine.map(SourceFile.sha256, all_files)
        for file in all_files:
            file.check_unchanged()
        names = (file.name for file in all_files)
        about = {"files": dict(zip(names, hashes, strict=True)), "key": key}
        with atomic_folder(out, overwrite=overwrite) as folder:
            return _publish(job, written, tables, previous, folder, about)


def _is_finished(out: Path, key: str) -> bool:
    try:
        return Schema.load(out).provenance.get("key") == key
    except InputError:
        return False


@dataclass(frozen=True)
class _Written:
    """What the stages before the last one made."""

    vocabularies: Mapping[str, Vocabulary]
    features: list[Feature]
    # By view: its columns, rows of a block, and by part its shards by split.
    views: dict[str, tuple[tuple[Column, ...], int, list[dict[str, EncodedShard]]]]
    facts: dict[str, Any]


def _write_shards(job: Job, previous: Previous | None) -> _Written:
    spec, seed = job.spec, job.options.seed
    parts = parse(job)
    splits = RowSplits(spec.split, [part.path for part in parts])
    counts = {"skipped_lines": sum(part.skipped for part in parts)}
    if spec.goes_by_user:
        job.report("regrouping by user")
        rows = splits.counts().sum()
        splits = RowSplits(None, regroup(spec, splits, job.work, job.engine))
        counts["duplicates"] = int(rows - splits.counts().sum())
    if not previous:  # new rows need not be a dataset of their own
        check_rows(spec, splits)
    vocabularies, fits = fit(job, splits)
    numbers = {name: found.feature(spec.feature(name)) for name, found in fits.items()}
    if previous:
        vocabularies, numbers = previous.vocabularies(vocabularies), previous.numbers()
    encoder = Encoder(spec, vocabularies, numbers, seed)
    shards = write_shards(job, ROWS, encoder.encode, splits)
    views = {ROWS: (encoder.columns, ROWS_BLOCK, shards)}
    if spec.holds_interactions:
        taken = train_item_counts(splits, vocabularies["item"])
        names = [column.name for column in encoder.columns]
        writer = HistoryWriter(vocabularies, names, spec.interactions, taken, seed)
        shards = write_shards(job, HISTORIES, writer.write, splits)
        views[HISTORIES] = (writer.columns, HISTORIES_BLOCK, shards)
    facts: dict[str, Any] = {"preparation": counts, "missing_share": _missing_shares(fits)}
    if any(feature.type != "int64" for feature in spec.of_kind(Kind.TIME)):
        facts[TIME_UNIT] = MICROSECONDS  # of ISO 8601
    return _Written(vocabularies, encoder.features, views, facts)


def _missing_shares(fits: dict[str, NumberFit]) -> dict[str, float]:
    return {name: fit.missing / fit.rows for name, fit in fits.items() if fit.missing}


def _publish(
    job: Job,
    written: _Written,
    tables: list[AttributeTable],
    previous: Previous | None,
    folder: Path,
    about: dict[str, Any],
) -> Schema:
    """Fills the dataset's folder."""
    for name, vocabulary in written.vocabularies.items():
        vocabulary.write(folder, name)
    views: dict[str, View] = {}
    for name, (columns, block_rows, shards) in written.views.items():
        views[name] = publish_view(name, block_rows, job.work, folder, columns, shards, previous)
    features = list(written.features)
    for table in tables:
        job.report(f"writing attributes of {table.spec.name}")
        ids = written.vocabularies[table.key]
        view, found = table.write(folder, ids, job.options.max_bad_lines)
        views[table.spec.name] = view
        features += found
    schema = Schema(
        name=job.spec.name,
        features=tuple(features),
        views=views,
        provenance={
            "source": job.source,
            "options": vars(job.options) | _plain_options(job.spec),
            "features_sha256": features_sha256(job.spec),
            "tool": TOOL,
            **about,
        },
        facts=written.facts,
        crosses=job.spec.crosses,
    )
    write_json(folder / SCHEMA_FILE, schema.to_json())
    if job.spec.holds_interactions:  # whose candidates are read back, as memory does not hold them
        cards = _candidates(PreparedDataset(folder), written.vocabularies, job.options.seed)
        schema = dataclasses.replace(schema, candidates=cards)
        write_json(folder / SCHEMA_FILE, schema.to_json())
    return schema


def _plain_options(spec: TableSpec) -> dict[str, Any]:
    interactions = dataclasses.asdict(spec.interactions) if spec.holds_interactions else {}
    return {"split": dataclasses.asdict(spec.split), **interactions}


def _candidates(
    data: PreparedDataset, vocabularies: Mapping[str, Vocabulary], seed: int
) -> dict[str, Candidates]:
    """Returns the schema's entries on the candidates of a dataset."""
    view = data.schema.view(HISTORIES)
    kinds = {"negative_item": ("", "uniform"), "popular_item": ("/popular", "popularity")}
    cards = {}
    for split, entry in view.splits.items():
        for column in (c.name for c in view.columns if c.name in kinds and split != "train"):
            suffix, sampling = kinds[column]
            digest = candidates_sha256(
                _lists(data, split, column), vocabularies["user"], vocabularies["item"]
            )
            cards[split + suffix] = Candidates(entry.longest[column], sampling, seed, digest)
    return cards


def _lists(data: PreparedDataset, split: str, column: str) -> Iterator[tuple[np.ndarray, Ragged]]:
    """Yields users and their candidates, some rows after the other."""
    for rows in stream_rows(data, HISTORIES, split):
        users, lists = rows["user"], rows[column]
        assert isinstance(users, np.ndarray)
        assert isinstance(lists, Ragged)
        yield users, lists
