r"""Exports a trained run as a SavedModel for TF Serving: raw ids in, raw ids out.

  python -m serving.export --model_dir=RUN --export_dir=EXPORT
  python -m serving.export --model_dir=RUN --export_dir=EXPORT \
      --baseline_run=YESTERDAYS_RUN --must_not_regress=ndcg@10/full:0.005

Writes EXPORT/<version>, whole or not at all: before it is published, a clean process must give
the trainer's scores with it. A model card and warm-up requests are in its assets.extra. A run that
is worse than --baseline_run by more than --must_not_regress allows is refused: exit code 4, where
bad input is 2 (docs/retrain.md).

Signatures (`saved_model_cli show --dir EXPORT/1 --all`):

  recommend_user   user, k -> items, scores, is_popular, unknown_share
  recommend        user, history, exclude, allow, k, exclude_seen -> the same
  score            user, item, or the raw features of a row -> logit, probability, is_known

The first of them that the model and its data can answer is the default.
"""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import cast

from absl import app, flags

from data.atomic import check_writable
from data.command_line import no_argument, parse_flags
from data.errors import InputError
from serving.precision import TOLERANCES, Precision
from serving.publishing import (
    EXIT_BAD_INPUT,
    ExportOptions,
    WriterError,
    publish,
    write_in_its_own_process,
)
from serving.versions import MAX_VERSION

EXIT_REGRESSED = 4

_MODEL_DIR = flags.DEFINE_string("model_dir", None, "Run folder of a finished run.")
_EXPORT_DIR = flags.DEFINE_string("export_dir", None, "Folder that holds the version folders.")
_DATA_DIR = flags.DEFINE_string("data_dir", None, "The run's dataset, where it has moved.")
_PRECISION = flags.DEFINE_enum(
    "precision",
    "float32",
    list(TOLERANCES),
    "Of the embedding tables: bfloat16 takes half the memory, and scores differ a little.",
)
_SKIP_VERIFY = flags.DEFINE_bool(
    "skip_verify", False, "Publish without the check that a clean process gives the same scores."
)
_BASELINE_RUN = flags.DEFINE_string(
    "baseline_run", None, "Run to compare with, evaluated on the dataset of --model_dir."
)
_MUST_NOT_REGRESS = flags.DEFINE_multi_string(
    "must_not_regress",
    [],
    "METRIC:NUMBER, such as ndcg@10/full:0.005: publish only if the metric is worse than that of "
    "--baseline_run by at most the number; may be repeated.",
)
_SKIPPED = """
WARNING: --skip_verify: nobody has checked that this export gives the trainer's scores, that it
loads without this project's code, or that it hides seen and excluded items.
"""
_VERSION = flags.DEFINE_integer(
    "version", None, "Version; by default the next.", lower_bound=1, upper_bound=MAX_VERSION
)


def _compare(model_dir: Path) -> None:
    """Compares with the baseline, if one is given; prints what was found, or refuses and exits."""
    if bool(_BASELINE_RUN.value) != bool(_MUST_NOT_REGRESS.value):
        raise InputError("--baseline_run and --must_not_regress go together", action="See --help")
    if not _BASELINE_RUN.value:
        return
    # Imported where it is needed: TensorFlow comes with it.
    from configs.regression import RegressionError, check_not_worse, parse_tolerance

    tolerances = [parse_tolerance(text) for text in _MUST_NOT_REGRESS.value]
    try:
        for line in check_not_worse(model_dir, Path(_BASELINE_RUN.value), tolerances):
            print(f"Not worse: {line}", flush=True)
    except RegressionError as error:
        print(f"refused: {error}", file=sys.stderr)
        sys.exit(EXIT_REGRESSED)


def main(argv: list[str]) -> None:
    """Parses and calls."""
    no_argument(argv)
    options = ExportOptions(
        _VERSION.value, not _SKIP_VERIFY.value, cast(Precision, _PRECISION.value)
    )
    try:
        if not _MODEL_DIR.value or not _EXPORT_DIR.value:
            raise InputError("--model_dir and --export_dir must be given", action="See --help")
        _compare(Path(_MODEL_DIR.value))
        check_writable(Path(_EXPORT_DIR.value))
        data_dir = Path(_DATA_DIR.value) if _DATA_DIR.value else None
        write = write_in_its_own_process(Path(_MODEL_DIR.value), data_dir, options)
        target, written = publish(Path(_EXPORT_DIR.value), options, write)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(EXIT_BAD_INPUT)
    except WriterError:
        sys.exit(EXIT_BAD_INPUT)
    checked = "a clean process gave the trainer's scores"
    if _SKIP_VERIFY.value:
        checked = "NOT CHECKED"
        print(_SKIPPED, file=sys.stderr)
    print(f"Exported to {target}; {checked}")
    name = written.card.model
    print(
        f"Next: python -m serving.local_server --model_name={name} "
        f"--model_base_path={shlex.quote(str(target.parent))}"
    )
    print(f"Then: python -m serving.client --model_name={name} {written.example}")


if __name__ == "__main__":
    app.run(main, flags_parser=parse_flags)
