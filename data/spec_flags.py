"""Flags of `data.prepare` for tables that a feature spec explains."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from absl import flags

from data.engine.engines import Engine, LocalEngine, SparkEngine
from data.engine.prepare_table import prepare_table
from data.engine.stages import TableOptions
from data.errors import InputError, nearest
from data.schema import Schema
from data.spec.parsing import load_spec

SHIPPED = Path(__file__).with_name("spec")

SPEC = flags.DEFINE_string(
    "spec",
    None,
    "In place of --dataset: the feature spec of the table in --source, a file or the name of one "
    f"that is shipped: {', '.join(sorted(path.stem for path in SHIPPED.glob('*.yaml')))}. "
    "See docs/feature-spec.md.",
)
_ENGINE = flags.DEFINE_enum(
    "engine", "local", ["local", "spark"], "Where a table with a spec is prepared."
)
_SPARK_MASTER = flags.DEFINE_string(
    "spark_master", "local[*]", "Spark's master, such as spark://host:7077 (--engine=spark)."
)
_WORKERS = flags.DEFINE_integer("workers", 0, "Threads (--engine=local); 0 for all processors.", 0)
_APPEND = flags.DEFINE_string(
    "append",
    "",
    "Prepared dataset whose rows come before the new ones, and whose ids keep their rows; --out is "
    "another folder (--spec).",
)
_PART_MIB = flags.DEFINE_integer(
    "part_mib", 32, "MiB of text that are parsed at once by each thread (--spec).", 1
)


def prepare_with_spec(
    out: Path,
    source: str | None,
    seed: int,
    max_bad_lines: float,
    *,
    overwrite: bool,
    report: Callable[[str], None],
) -> Schema:
    """Prepares the table that the flags name."""
    spec = load_spec(_spec_path(SPEC.value or ""))
    if not source:
        raise InputError("--source must be given with --spec", action="See --help")
    options = TableOptions(seed, max_bad_lines, _PART_MIB.value << 20, _APPEND.value)
    if _ENGINE.value == "local":
        engine: Engine = LocalEngine(_WORKERS.value)
        return prepare_table(spec, source, options, out, engine, overwrite=overwrite, report=report)
    spark = SparkEngine(_SPARK_MASTER.value)
    try:
        return prepare_table(spec, source, options, out, spark, overwrite=overwrite, report=report)
    finally:
        spark.close()


def _spec_path(given: str) -> Path:
    shipped = SHIPPED / f"{given}.yaml"
    if "/" not in given and not given.endswith((".yaml", ".yml")):
        if shipped.is_file():
            return shipped
        raise InputError(
            "--spec must be a file, or the name of a spec that is shipped",
            received=repr(given),
            action=nearest(given, [path.stem for path in SHIPPED.glob("*.yaml")]),
        )
    return Path(given)
