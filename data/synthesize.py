r"""Writes click data of any size and shape whose best reachable AUC and logloss are known.

  python -m data.synthesize --shape=criteo_1tb --scale=0.001 --rows=1000000 --out=clicks.tsv
  python -m data.synthesize --table=shape.yaml --rows=1000000 --format=parquet --files=4 \
      --out=FOLDER
  python -m data.prepare --spec=FOLDER/features.yaml --source=FOLDER --out=DATA

A shape lists columns; data/shapes/criteo_1tb.yaml is one that is shipped:

  name: shop
  click_rate: 0.1          # expected share of label 1; 0.25 if left out
  signal: 1.3              # standard deviation of the logit, which sets the best AUC
  numeric:
    price: {median: 20, spread: 1, missing: 0.1}
  categorical:
    item: {cardinality: 100000, zipf: 1.05}      # the k-th most frequent: ~ 1 / k^1.05
    tags: {cardinality: 500, hotness: [0, 5]}    # lists
    noise: {cardinality: 50, weight: 0}          # has nothing to do with the label

Beside the data are `features.yaml`, which prepares it, and `truth.json`: `rows`, `click_rate`, and
`best_auc` and `best_logloss`, the scores of the true probabilities on the rows written. Of a single
file clicks.tsv they are called clicks.features.yaml and clicks.truth.json. A row depends on the
shape, the seed and its number alone; the number of files changes nothing else.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # before TensorFlow is loaded

from absl import app, flags

from data.command_line import no_argument, parse_flags, run_main
from data.errors import InputError, nearest
from data.row_stream import Report
from data.synthetic_output import SynthesisOptions, synthesize
from data.synthetic_shape import SHIPPED, ClickShape, load_shape

_OUT = flags.DEFINE_string(
    "out", None, "A file that ends in .tsv, .txt, .csv or .parquet, or a folder.", required=True
)
_ROWS = flags.DEFINE_integer("rows", None, "Rows to write.", lower_bound=1, required=True)
_SHAPE = flags.DEFINE_string(
    "shape",
    None,
    f"A shape that is shipped: {', '.join(sorted(path.stem for path in SHIPPED.glob('*.yaml')))}.",
)
_TABLE = flags.DEFINE_string("table", None, "In place of --shape: a YAML file of a shape.")
_SCALE = flags.DEFINE_float(
    "scale", 1.0, "Factor of cardinalities; none falls below 10 by it.", lower_bound=0
)
_FORMAT = flags.DEFINE_enum(
    "format", None, ["tsv", "csv", "parquet"], "By the ending of --out if not given; else tsv."
)
_FILES = flags.DEFINE_integer("files", 1, "Files to write to the folder --out.", lower_bound=1)
_SEED = flags.DEFINE_integer("seed", 0, "Seed of the rows and of the model.", lower_bound=0)


def _shape() -> ClickShape:
    given, table = _SHAPE.value, _TABLE.value
    if bool(given) == bool(table):
        raise InputError("Either --shape or --table must be given", action="See --help")
    path = Path(table) if table else SHIPPED / f"{given}.yaml"
    if given and not path.is_file():
        raise InputError(
            "--shape must be a shape that is shipped",
            received=repr(given),
            action=nearest(given, [shape.stem for shape in SHIPPED.glob("*.yaml")]),
        )
    return load_shape(path).scaled(_SCALE.value)


def run(report: Report) -> None:
    """Writes, and prints the truth."""
    started = time.perf_counter()
    options = SynthesisOptions(_ROWS.value, _FORMAT.value, _FILES.value, _SEED.value)
    done = synthesize(_shape(), options, Path(_OUT.value), report)
    seconds = time.perf_counter() - started
    truth = done.truth
    best_auc = (
        "none: all labels are equal" if truth["best_auc"] is None else f"{truth['best_auc']:.5f}"
    )
    print(
        f"{truth['rows']:,} rows in {_OUT.value}, {seconds:.1f} s\n"
        f"  best AUC {best_auc}, best logloss {truth['best_logloss']:.5f}, "
        f"click rate {truth['click_rate']:.2%} ({done.truth_file})\n"
        f"Next: python -m data.prepare --spec={done.spec_file} --source={_OUT.value} --out=DATA"
    )


def main(argv: list[str]) -> None:
    """Runs the command."""
    no_argument(argv)
    sys.exit(run_main(run))


if __name__ == "__main__":
    app.run(main, flags_parser=parse_flags)
