"""Exports a trained run as a SavedModel for TF Serving: raw ids in, raw ids out.

  python -m serving.export --model_dir=RUN --export_dir=EXPORT

Writes EXPORT/<version>, whole or not at all: before it is published, a clean process must give
the trainer's scores with it. A model card and warm-up requests are in its assets.extra.
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

from data.errors import InputError
from serving.precision import TOLERANCES, Precision
from serving.publishing import (
    EXIT_BAD_INPUT,
    ExportOptions,
    WriterError,
    publish,
    write_in_its_own_process,
)

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
_SKIPPED = """
WARNING: --skip_verify: nobody has checked that this export gives the trainer's scores, that it
loads without this project's code, or that it hides seen and excluded items.
"""
_VERSION = flags.DEFINE_integer("version", None, "Version; by default the next.", lower_bound=1)


def main(argv: list[str]) -> None:
    """Parses and calls."""
    if len(argv) > 1:
        raise app.UsageError(f"unexpected argument: {argv[1]}")
    options = ExportOptions(
        _VERSION.value, not _SKIP_VERIFY.value, cast(Precision, _PRECISION.value)
    )
    try:
        if not _MODEL_DIR.value or not _EXPORT_DIR.value:
            raise InputError("--model_dir and --export_dir must be given", action="See --help")
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
    app.run(main)
