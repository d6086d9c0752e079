"""The event file of a run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import tensorflow as tf
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.custom_scalar import summary as custom_scalars
from tensorboard.plugins.custom_scalar.layout_pb2 import Layout
from tensorboard.plugins.hparams import summary as hparams_end
from tensorboard.plugins.hparams import summary_v2 as hparams
from tensorboard.plugins.hparams.api_pb2 import STATUS_SUCCESS
from tensorboard.plugins.text.summary_v2 import text_pb

from configs.base import RunConfig
from configs.runs import config_to_json
from trainers.board.layout import layout
from trainers.board.settings import Setting, compared
from trainers.run_folder import command_line


def open_board(model_dir: Path, config: RunConfig, monitor: str, ranks: int) -> BoardWriter:
    """Begins the event file of a run with its settings, its command and the layout of its charts.

    Args:
        model_dir: The run folder.
        config: The resolved config.
        monitor: The metric that chooses the checkpoint; empty where nothing is validated.
        ranks: Ranks of the run.
    """
    board = BoardWriter(model_dir)
    is_scaled = config.trainer.mixed_precision == "float16"
    board.layout(layout(monitor, is_scaled, ranks))
    board.settings(compared(config), str(model_dir))
    board.text("command", f"```\n{command_line()}\n```")
    board.text("config", f"```\n{json.dumps(config_to_json(config), indent=2)}\n```")
    return board


class BoardWriter:
    """Writes for TensorBoard.

    Args:
        model_dir: The run folder.
    """

    def __init__(self, model_dir: Path) -> None:
        self._writer = tf.summary.create_file_writer(str(model_dir))

    def layout(self, layout: Layout) -> None:
        """Arranges the Custom Scalars tab."""
        self._write(custom_scalars.pb(layout), 0)

    def settings(self, settings: Mapping[str, Setting], name: str) -> None:
        """Shows a run's settings in the HParams tab, beside those of other runs.

        Which columns there are is left to TensorBoard, which puts first what differs.
        """
        self._write(hparams.hparams_pb(dict(settings), trial_id=name), 0)

    def text(self, tag: str, markdown: str) -> None:
        """Shows a text in the Text tab."""
        self._write(text_pb(tag, markdown), 0)

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Adds a point to the chart of each tag."""
        # One record; an operation for each value would take 20 times as long.
        self._write(
            Summary(value=[Summary.Value(tag=t, simple_value=v) for t, v in values.items()]), step
        )

    def finished(self) -> None:
        """Says that the run has come to its end."""
        self._write(hparams_end.session_end_pb(STATUS_SUCCESS), 0)

    def flush(self) -> None:
        """Writes what is buffered."""
        self._writer.flush()

    def close(self) -> None:
        """Writes what is buffered, and no more."""
        self._writer.close()

    def _write(self, summary: Summary, step: int) -> None:
        with self._writer.as_default(step=step):
            tf.summary.experimental.write_raw_pb(summary.SerializeToString(), step=step)
