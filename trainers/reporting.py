"""What a run tells while it runs: progress lines, TensorBoard, `metrics.jsonl`."""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from data.atomic import write_text
from trainers.board.tags import EXAMPLES, LOSS, of_evaluation
from trainers.board.writer import BoardWriter
from trainers.result import json_values
from trainers.train_state import TrainState

PROGRESS = "epoch "  # with which lines on where training is begin
_EVALUATIONS = "metrics.jsonl"
_SECONDS_BETWEEN_LINES = 5.0


class Reporter:
    """Reports of one run; only rank 0 speaks.

    Args:
        model_dir: The run folder.
        evaluated: The last step whose evaluation counts; those after it are made again.
        total_steps: Steps of the whole run.
        board: What TensorBoard reads; None to say and write nothing, on ranks other than 0.
    """

    def __init__(
        self, model_dir: Path, evaluated: int, total_steps: int, board: BoardWriter | None
    ) -> None:
        self._model_dir = model_dir
        self._total_steps = total_steps
        self._board = board
        self._last_line = 0.0
        self._started: tuple[float, int] | None = None
        self._best = ""
        if board:
            _cut(model_dir / _EVALUATIONS, evaluated)

    def steps(self, step: int, epoch: int, epochs: int, scalars: Mapping[str, float]) -> None:
        """Reports some steps: scalars by tag to TensorBoard, and a line now and then.

        The line starts with `PROGRESS`, and has the best of validation so far, and the time left.
        """
        if not self._board:
            return
        self._board.scalars(step, scalars)
        now = time.perf_counter()
        if self._started is None:  # steps before this were traced and compiled, and tell nothing
            self._started = (now, step)
            return
        if now - self._last_line < _SECONDS_BETWEEN_LINES and step < self._total_steps:
            return
        self._last_line = now
        started, first_step = self._started
        left = _clock((now - started) / (step - first_step) * (self._total_steps - step))
        self.line(
            f"{PROGRESS}{epoch + 1}/{epochs}  step {step}/{self._total_steps}  "
            f"loss {scalars[LOSS]:.4f}  {_short(scalars[EXAMPLES])} examples/s  "
            f"{self._best}{left} left"
        )

    def validation(self, state: TrainState, monitor: str, metrics: Mapping[str, float]) -> None:
        """Reports an evaluation on validation: TensorBoard, and a line of `metrics.jsonl`.

        Args:
            state: Where the run is, this evaluation judged.
            monitor: The metric that it was judged by.
            metrics: Value by name.
        """
        if not self._board:
            return
        self._best = f"best {state.best_value:.4f}  " * math.isfinite(state.best_value)
        self._board.scalars(state.step, of_evaluation(metrics, monitor, state.best_value))
        self._board.flush()
        values = json_values(dict(metrics))
        record: dict[str, Any] = {"step": state.step, "split": "validation", "metrics": values}
        with (self._model_dir / _EVALUATIONS).open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")

    def line(self, text: str) -> None:
        """Prints a line for people."""
        if self._board:
            print(text, file=sys.stderr, flush=True)

    def close(self) -> None:
        """Says that the training has come to its end."""
        if self._board:
            self._board.finished()
            self._board.close()


def _cut(path: Path, step: int) -> None:
    """Removes from a file of evaluations those after a step, and lines that are no longer whole."""
    if not path.is_file():
        return
    text = path.read_text(encoding="utf-8", errors="replace")
    kept = "".join(f"{line}\n" for line in text.splitlines() if _counts(line, step))
    if kept != text:
        write_text(path, kept)


def _counts(line: str, step: int) -> bool:
    try:
        return bool(json.loads(line)["step"] <= step)
    except (ValueError, TypeError, KeyError):
        return False


def _short(value: float) -> str:
    """Returns a number of three digits or so, in thousands or millions where it is large."""
    for size, unit in ((1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.2f}{unit}"
    return f"{value:.1f}"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes:02d}:{rest:02d}"
