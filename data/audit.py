r"""Looks for leakage in a prepared dataset; exits with 1 on findings, with 0 on none.

  python -m data.audit DATA
  python -m data.audit DATA --ignore=same-event,label-alone:price --max_new_items=0.05

Rules:

  time-order   no held-out event is before train's, of all events or of the same user
  same-event   no event is in two splits: user, item and time, or the whole row
  label-alone  no single feature predicts the label of held-out rows
  statistics   means, standard deviations and ranges of numbers are those of train
  vocabulary   every entry of a vocabulary is in a row of train
  new-items    how many held-out events have items that train has not: a note

Limits: only the view `rows` is read, once, and its held-out splits twice, some blocks at a time.
Memory is about 30 bytes for each id of each feature, 16 bytes a user and 25 bytes a held-out row.
Of more than 67 million held-out rows, same-event compares a sample by hash. Numbers are cut into
4,096 bins chosen on a sample for label-alone. Quantiles, boundaries and what was fitted to
attributes are not checked, nor what was done to the source before it was prepared: a feature that
averages over the future looks like any other. Exit code 2 tells of bad input.
docs/inspect-and-audit.md explains each rule.
"""

from __future__ import annotations

import os
import sys
from functools import partial
from typing import cast

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # before TensorFlow is loaded

from absl import app, flags

from data.audit_rules.audit import RULES, AuditOptions, audit_dataset, audit_text
from data.audit_rules.fitted_numbers import TOLERANCE
from data.audit_rules.label_alone import THRESHOLD
from data.audit_rules.time_order import Order
from data.command_line import dataset_folder, parse_flags, run_main
from data.dataset import PreparedDataset
from data.row_stream import Report

EXIT_FINDINGS = 1

_IGNORE = flags.DEFINE_list(
    "ignore", [], f"Accepted findings, as RULE or RULE:SUBJECT. Rules: {', '.join(RULES)}."
)
_ORDER = flags.DEFINE_enum(
    "order",
    "auto",
    ["auto", "all", "user"],
    "Whose events time-order compares: all, or each user's; auto: each user's where rows have "
    "users and the dataset does not say that it was split by time.",
)
_THRESHOLD = flags.DEFINE_float(
    "auc_threshold", THRESHOLD, "AUC from which one feature alone is a finding.", 0.5, 1.0
)
_TOLERANCE = flags.DEFINE_float(
    "tolerance",
    TOLERANCE,
    "Largest difference between stated and recomputed means and standard deviations, in standard "
    "deviations.",
    0.0,
)
_MAX_NEW_ITEMS = flags.DEFINE_float(
    "max_new_items",
    1.0,
    "Share of a split's events with items that train has not, above which that is a finding.",
    0.0,
    1.0,
)


def run(argv: list[str], report: Report) -> int:
    """Reads and prints; returns the exit code."""
    folder = dataset_folder(argv)
    options = AuditOptions(
        cast(Order, _ORDER.value),
        _THRESHOLD.value,
        _TOLERANCE.value,
        _MAX_NEW_ITEMS.value,
        tuple(_IGNORE.value),
    )
    data = PreparedDataset(folder)
    audit = audit_dataset(data, options, report)
    print(audit_text(audit, data.schema.name, folder))
    return EXIT_FINDINGS if audit.findings else 0


def main(argv: list[str]) -> None:
    """Runs the command."""
    sys.exit(run_main(partial(run, argv)))


if __name__ == "__main__":
    app.run(main, flags_parser=parse_flags)
