r"""Opens exported models in a page of this machine's browser: type a user or a history, see a list.

  python -m serving.explore EXPORT
  python -m serving.explore EXPORT EXPORT2 --titles=titles.tsv --open
  python -m serving.explore EXPORT/3 http://127.0.0.1:8501/v1/models/ncf

EXPORT is the --export_dir of serving.export, whose latest version is taken, a version's own
folder, or the address of a model that TF Serving or serving.local_server serves (http://, https://,
grpc:// or grpcs://, with /versions/N or /labels/L at the end if wanted). Two are shown side by
side.

Items are found and read by the titles that the exports hold, where their datasets have some, or by
those of --titles, a file with the columns `id` and `title`. Models of labelled rows are asked by a
form of their features. docs/explore.md shows more. A SavedModel is code: open only those that you
trust.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import webbrowser
from functools import partial
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # before TensorFlow is loaded

import tensorflow as tf
from absl import app, flags

from data.command_line import parse_flags, run_main
from data.errors import InputError
from data.row_stream import Report
from data.titles import read_titles
from serving.explore.models import open_model
from serving.explore.running import explore_until_stopped

EXIT_INTERRUPTED = 130

_TITLES = flags.DEFINE_string("titles", None, "TSV or CSV with the columns `id` and `title`.")
_PORT = flags.DEFINE_integer("port", 0, "Port of the page; 0 for any free one.", 0, 65535)
_HOST = flags.DEFINE_string(
    "host", "127.0.0.1", "Address to listen on; 0.0.0.0 lets other machines in, unasked."
)
_OPEN = flags.DEFINE_bool("open", False, "Whether to open the page in a browser.")


def run(argv: list[str], report: Report) -> None:
    """Loads the models and serves the page until it is stopped."""
    if len(argv) not in (2, 3):
        raise InputError(
            "One export or two must be named",
            received=" ".join(argv[1:]) or "none",
            action="Write the folder that serving.export made; see --help",
        )
    titles = read_titles(Path(_TITLES.value)) if _TITLES.value else None
    models = []
    for source in argv[1:]:
        report(f"opening {source}")
        models.append(open_model(source))

    if titles is None:
        titles = {item: title for model in models for item, title in model.titles.items()}

    def started(address: str) -> None:
        report(f"{address} shows {' and '.join(model.name for model in models)}; Ctrl-C ends it")
        if _OPEN.value:
            webbrowser.open(address)

    asyncio.run(explore_until_stopped(models, titles, _HOST.value, _PORT.value, started))
    report("stopped")


def main(argv: list[str]) -> None:
    """Runs the command."""
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    tf.get_logger().setLevel("ERROR")
    try:
        sys.exit(run_main(partial(run, argv)))
    except KeyboardInterrupt:  # while a model is loaded; later the signal ends the page in order
        sys.exit(EXIT_INTERRUPTED)


if __name__ == "__main__":
    app.run(main, flags_parser=parse_flags)
