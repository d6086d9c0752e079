"""A TensorBoard profile of some steps of a run, planned or asked for while it runs."""

from __future__ import annotations

from pathlib import Path

import tensorflow as tf

from data.errors import InputError

ON_REQUEST = 10  # steps


class Profiler:
    """Records the steps from one to another; a call's steps are recorded together.

    Args:
        model_dir: The run folder; TensorBoard's Profile tab reads the same.
        steps: First and last step to record; None records nothing.
    """

    def __init__(self, model_dir: Path, steps: tuple[int, int] | None) -> None:
        self._model_dir, self._steps = model_dir, steps
        self._is_on = self._is_requested = False

    def request(self) -> None:
        """Asks for a profile of the next steps; one that is being recorded goes on."""
        self._is_requested = True

    def after(self, step: int) -> None:
        """Starts or stops, when `step` steps were taken."""
        if self._is_requested and not self._is_on:
            self._steps = (step + 1, step + ON_REQUEST)
        self._is_requested = False
        if self._steps is None:
            return
        first, last = self._steps
        if not self._is_on and first - 1 <= step < last:
            tf.profiler.experimental.start(str(self._model_dir))
            self._is_on = True
        elif self._is_on and step >= last:
            self.close()

    def close(self) -> None:
        """Writes what was recorded, if recording is on."""
        if self._is_on:
            tf.profiler.experimental.stop()
            self._is_on, self._steps = False, None


def parse_profile_steps(values: list[str]) -> tuple[int, int] | None:
    """Returns the first and the last step of `--profile_steps=100,110`.

    Raises:
        InputError: Not two ascending numbers from 1.
    """
    if not values:
        return None
    numbers = [int(value) if value.isdecimal() else 0 for value in values]
    if len(numbers) != 2 or not 1 <= numbers[0] <= numbers[1]:
        raise InputError(
            "--profile_steps must be a first and a last step, counted from 1",
            received=",".join(values),
            action="For example --profile_steps=100,110",
        )
    return numbers[0], numbers[1]
