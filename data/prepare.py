r"""Turns raw interactions or click data into a prepared dataset that every model trains on.

  python -m data.prepare --dataset=movielens_1m --source=ml-1m.zip --out=DATA
  python -m data.prepare --dataset=ncf_authors --source=ncf/Data --out=DATA
  python -m data.prepare --dataset=table --source=sales.csv --user_column=customer \
      --item_column=sku --time_column=bought_at --duplicates=keep_last --out=DATA
  python -m data.prepare --dataset=lightgcn --source=gowalla --out=DATA
  python -m data.prepare --dataset=synthetic --out=DATA

Clicks: labels made of ratings.

  python -m data.prepare --dataset=movielens_1m --source=ml-1m.zip --label_threshold=3 \
      --split=random --validation_ratio=0.1 --test_ratio=0.1 --out=DATA

Any table of any size, as its feature spec explains it (docs/feature-spec.md); on a cluster too:

  python -m data.prepare --spec=features.yaml --source='logs/*.csv.gz' --out=DATA
  python -m data.prepare --spec=adult --source=FOLDER --out=DATA
  python -m data.prepare --spec=criteo --source=train.txt --out=DATA
  python -m data.prepare --spec=movielens_1m --source=ml-1m --out=DATA
  python -m data.prepare --spec=criteo --source='/shared/day_*' --out=/shared/DATA \
      --engine=spark --spark_master=spark://host:7077

Users that training never sees (strong generalisation, Liang et al. 2018):

  python -m data.prepare --dataset=movielens_1m --source=ml-1m.zip --min_rating=4 \
      --min_user_interactions=5 --split=held_out_users --validation_users=500 --test_users=500 \
      --fold_in=0.8 --out=DATA

The output folder is complete or absent. docs/data-format.md describes it.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # before TensorFlow is loaded

from absl import app, flags

from data import prepare_flags, spec_flags
from data.assemble import prepare
from data.command_line import no_argument, parse_flags, run_main
from data.errors import InputError
from data.output import check_output
from data.row_stream import Report
from data.schema import Schema
from data.summary import summary

_DATASET = flags.DEFINE_enum(
    "dataset",
    None,
    prepare_flags.INTERACTIONS,
    "What the source is.",
)
_OUT = flags.DEFINE_string("out", None, "Folder to write.")
_OVERWRITE = flags.DEFINE_bool("overwrite", False, "Replace --out if it is a prepared dataset.")
for holder in (prepare_flags, spec_flags):
    flags.adopt_module_key_flags(holder)  # so that --help shows them


def run(report: Report) -> None:
    """Loads, prepares, and prints the summary."""
    started = time.perf_counter()
    dataset, spec = _DATASET.value, spec_flags.SPEC.value
    if not _OUT.value or bool(dataset) == bool(spec):
        raise InputError(
            "Either --dataset or --spec must be given, and --out",
            received=", ".join(f"--{f.name}={f.value}" for f in (_DATASET, spec_flags.SPEC, _OUT)),
            action="See --help",
        )
    out, overwrite = Path(_OUT.value), _OVERWRITE.value
    prepare_flags.check_flags(spec)
    if spec:
        schema = spec_flags.prepare_with_spec(
            out, *prepare_flags.table_flags(), overwrite=overwrite, report=report
        )
    else:
        assert dataset
        schema = _prepare_interactions(dataset, out, overwrite, report)
    print(summary(schema, out, time.perf_counter() - started))


def _prepare_interactions(dataset: str, out: Path, overwrite: bool, report: Report) -> Schema:
    source = prepare_flags.source_path()
    check_output(out, overwrite=overwrite, source=source)
    report(f"reading {source or dataset}")
    interactions = prepare_flags.load_interactions(dataset)
    options = prepare_flags.options_for(interactions)
    return prepare(interactions, options, out, overwrite=overwrite, report=report)


def main(argv: list[str]) -> None:
    """Parses, builds and calls."""
    no_argument(argv)
    sys.exit(run_main(run))


if __name__ == "__main__":
    app.run(main, flags_parser=parse_flags)
