"""Where synthetic clicks are written: one file, or a folder of them, with spec and truth beside."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from data.atomic import atomic_folder, fsync_path, write_json, write_text
from data.engine.progress import Progress
from data.engine.source_files import FORMATS
from data.errors import InputError
from data.row_stream import Report
from data.spec.parsing import parse_spec
from data.synthetic_clicks import ClickBlock, ClickModel, ClickTruth
from data.synthetic_files import feature_spec, write_rows
from data.synthetic_shape import ClickShape

SPEC_FILE, TRUTH_FILE = "features.yaml", "truth.json"
FORMS = ("tsv", "csv", "parquet")


@dataclass(frozen=True)
class SynthesisOptions:
    """What to write of a shape.

    Attributes:
        rows: Number of rows.
        form: `tsv`, `csv` or `parquet`; None for what the output's ending says, `tsv` of a folder.
        files: Number of files.
        seed: Seed of the rows and of the model.
    """

    rows: int
    form: str | None = None
    files: int = 1
    seed: int = 0


@dataclass(frozen=True)
class Synthesis:
    """What was written.

    Attributes:
        truth: As of `ClickTruth.facts`.
        truth_file: Where that is.
        spec_file: The feature spec.
    """

    truth: dict[str, Any]
    truth_file: Path
    spec_file: Path


def synthesize(
    shape: ClickShape, options: SynthesisOptions, out: Path, report: Report = lambda _: None
) -> Synthesis:
    """Writes rows, the feature spec that prepares them and the truth about them.

    Args:
        shape: The columns.
        options: What to write.
        out: A file with an ending of a format, or a folder; complete or absent afterwards.
        report: Called with how far it is, every few seconds.

    Raises:
        InputError: `out` exists, or does not go with the options, or a column cannot be prepared.
    """
    ending = FORMATS.get(out.suffix.lower())
    is_file = ending in FORMS
    form = options.form or (ending if is_file and ending else "tsv")
    _check(options, out, ending if is_file else None, form)
    parse_spec(yaml.safe_load(feature_spec(shape, form, [])), SPEC_FILE)  # of reserved names too
    model, truth = ClickModel(shape, options.seed), ClickTruth()
    progress = Progress("writing", options.rows, report)
    if is_file:
        spec_file, truth_file = (out.with_name(f"{out.stem}.{n}") for n in (SPEC_FILE, TRUTH_FILE))
        with _atomic_files(spec_file, truth_file, out) as (spec, facts, rows):
            blocks = _counted(model.blocks(0, options.rows), truth, progress)
            write_rows(rows, shape, blocks, form)
            write_text(spec, feature_spec(shape, form, []))
            write_json(facts, truth.facts())
        return Synthesis(truth.facts(), truth_file, spec_file)
    with atomic_folder(out) as folder:
        for index in range(options.files):
            start, stop = (options.rows * n // options.files for n in (index, index + 1))
            blocks = _counted(model.blocks(start, stop), truth, progress)
            write_rows(folder / f"part-{index:05d}.{form}", shape, blocks, form)
        write_text(folder / SPEC_FILE, feature_spec(shape, form, [f"part-*.{form}"]))
        write_json(folder / TRUTH_FILE, truth.facts())
    return Synthesis(truth.facts(), out / TRUTH_FILE, out / SPEC_FILE)


def _check(options: SynthesisOptions, out: Path, ending: str | None, form: str) -> None:
    if os.path.lexists(out):
        raise InputError(
            "The output must not exist yet",
            received=out,
            action="Choose another --out, or remove it yourself",
        )
    if ending and options.files > 1:
        raise InputError(
            "Several files need a folder",
            received=f"--files={options.files} and --out={out}",
            action="Leave out the ending of --out",
        )
    if ending and form != ending:
        raise InputError(
            "The ending of the output must be that of its format",
            received=f"--format={form} and --out={out}",
        )
    if options.files > options.rows:
        raise InputError(
            "Every file must have a row",
            received=f"{options.files:,} files of {options.rows:,} rows",
            action="Lower --files",
        )


def _counted(
    blocks: Iterator[ClickBlock], truth: ClickTruth, progress: Progress
) -> Iterator[ClickBlock]:
    for block in blocks:
        truth.add(block)
        yield block
        progress.add(len(block.labels), len(block.labels))


@contextmanager
def _atomic_files(*paths: Path) -> Iterator[list[Path]]:
    """Yields files beside `paths` that become them, in order, when the block raises nothing."""
    folder = paths[0].parent
    folder.mkdir(parents=True, exist_ok=True)
    partials = [path.with_name(f".{path.name}.partial") for path in paths]
    try:
        yield partials
        for partial in partials:
            fsync_path(partial)
        for partial, path in zip(partials, paths, strict=True):
            partial.replace(path)
        fsync_path(folder)
    finally:
        for partial in partials:
            partial.unlink(missing_ok=True)
