"""The event file of a run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import tensorflow as tf
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.custom_scalar import summary as custom_scalars
from tensorboard.plugins.hparams import summary as hparams_end
from tensorboard.plugins.hparams import summary_v2 as hparams
from tensorboard.plugins.hparams.api_pb2 import STATUS_SUCCESS
from tensorboard.plugins.text.summary_v2 import text_pb

from trainers.board.tags import layout


class BoardWriter:
    """Writes for TensorBoard.

    Args:
        model_dir: The run folder.
    """

    def __init__(self, model_dir: Path) -> None:
        self._writer = tf.summary.create_file_writer(str(model_dir))
        self._write(custom_scalars.pb(layout()), 0)

    def settings(self, settings: Mapping[str, bool | int | float | str], name: str) -> None:
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
