r"""Proposes a feature spec for a table, from its first rows, with a reason for each choice.

  python -m data.infer_spec --source=sales.csv
  python -m data.infer_spec --source='logs/*.csv.gz' --label=clicked --out=features.yaml
  python -m data.prepare --spec=features.yaml --source='logs/*.csv.gz' --out=DATA

Rows without a label, of users and what they took, to rank items by:

  python -m data.infer_spec --source=sales.csv --interactions
  python -m data.infer_spec --source=bestellungen.csv --interactions --user_column=kunde \
      --item_column=artikel --time_column=bestellt_am

It reads the first file: CSV or TSV with or without header, whatever separates the fields, packed
by gzip or zstd, Parquet, or TFRecords of row-wise tf.Example. Where no column looks like the label
it says so: pass --label. The user, the item and the time are found by their names unless given.
docs/feature-spec.md explains every key of the spec.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # before TensorFlow is loaded

from absl import app, flags

from data.atomic import write_text
from data.command_line import no_argument, parse_flags, run_main
from data.errors import InputError
from data.feature import Kind
from data.inference.propose import propose_spec
from data.row_stream import Report

_SOURCE = flags.DEFINE_string("source", None, "File, folder or pattern in quotes.", required=True)
_LABEL = flags.DEFINE_string("label", None, "Column of the label; guessed where it is left out.")
_INTERACTIONS = flags.DEFINE_bool(
    "interactions", False, "The rows are interactions of users with items, without a label."
)
_KEYS = {
    kind: flags.DEFINE_string(
        f"{kind.value}_column", None, f"Column of {what}; guessed where it is left out."
    )
    for kind, what in ((Kind.USER, "user ids"), (Kind.ITEM, "item ids"), (Kind.TIME, "times"))
}
_OUT = flags.DEFINE_string("out", None, "File to write; printed where it is left out.")
_OVERWRITE = flags.DEFINE_bool("overwrite", False, "Replace --out if it is there.")
_ROWS = flags.DEFINE_integer("rows", 100_000, "Rows to read.", 1)


def run(report: Report) -> None:
    """Proposes, and prints or writes."""
    del report  # the first rows are soon read
    out = Path(_OUT.value) if _OUT.value else None
    if out is not None and out.exists() and not _OVERWRITE.value:
        raise InputError(
            "--out must not exist yet",
            received=out,
            action="Choose another file, or pass --overwrite to replace it",
        )
    if _LABEL.value and _INTERACTIONS.value:
        raise InputError(
            "Rows have a label, or are interactions",
            received=f"--label={_LABEL.value} and --interactions",
            action="Drop one of them",
        )
    keys = {kind: flag.value for kind, flag in _KEYS.items() if flag.value}
    text = propose_spec(_SOURCE.value, _LABEL.value, _ROWS.value, _INTERACTIONS.value, keys)
    if out is None:
        print(text, end="")
        return
    out.parent.mkdir(parents=True, exist_ok=True)
    write_text(out, text)
    print(f"Wrote {out}. Read it, then:")
    print(f"  python -m data.prepare --spec={out} --source='{_SOURCE.value}' --out=DATA")


def main(argv: list[str]) -> None:
    """Parses and calls."""
    no_argument(argv)
    sys.exit(run_main(run))


if __name__ == "__main__":
    app.run(main, flags_parser=parse_flags)
