"""The training loop: steps, reports, checkpoints, choice of the best epoch."""

from __future__ import annotations

import math
import os
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import tensorflow as tf

from configs.base import RunConfig
from data.dataset import PreparedDataset
from data.errors import InputError
from models.communicator import Communicator
from models.recommender import Recommender
from trainers.agreement import StoppedError, any_rank, failing_together, share_failure
from trainers.board.calls import of_call
from trainers.board.table_norms import TableNorms
from trainers.board.tags import of_step
from trainers.board.writer import open_board
from trainers.checkpoints import Checkpoints
from trainers.evaluation import Evaluator, evaluated_splits, make_evaluator
from trainers.profiling import Profiler
from trainers.rank_report import of_ranks
from trainers.reporting import PROGRESS, Reporter
from trainers.selection import find_monitor, judge
from trainers.signals import on_signal
from trainers.steps import Call, Steps
from trainers.train_state import TrainState
from trainers.watchdog import Watchdog

AfterEvaluation = Callable[[TrainState, str, float], None]


class Trainer:
    """Trains one model on one dataset, from the newest checkpoint if there is one.

    How a run starts, in this order: read where it stands, build the optimizers and slots, restore,
    and take what all ranks have alike from rank 0.

    Args:
        config: The resolved config.
        data: The prepared dataset.
        model: Freshly built.
        model_dir: The run folder.
        communicator: Other processes.
        profiler: Records some of the steps; by default none.
        after_evaluation: Is told where the run is, and the monitored metric on validation by name
            and value, before they are saved; what it raises ends the run.
    """

    def __init__(
        self,
        config: RunConfig,
        data: PreparedDataset,
        model: Recommender,
        model_dir: Path,
        communicator: Communicator,
        profiler: Profiler | None = None,
        after_evaluation: AfterEvaluation | None = None,
    ) -> None:
        self._config = config.trainer
        self._data = data
        self._model = model
        self._model_dir = model_dir
        self._communicator = communicator
        self._checkpoints = Checkpoints(model_dir, self._config.keep_checkpoints, communicator)
        self.state = self._checkpoints.newest()
        self.steps = Steps(self._config, data, model, communicator, self.state)
        self._checkpoints.restore(model, self.state)
        communicator.broadcast(_same_on_all_ranks(model))
        self._saved = replace(self.state)
        # Within an epoch, the evaluation after its last step is still to come.
        evaluated = self.state.step - (self.state.streams is not None)
        self._evaluator = self._make_evaluator(config)
        self._monitor = ""
        if self._evaluator:
            self._monitor = find_monitor(self._config.monitor, self._evaluator.metric_names())
        board = None
        if communicator.rank == 0:
            board = open_board(model_dir, config, self._monitor, communicator.size)
        self._reporter = Reporter(model_dir, evaluated, self.steps.total, board)
        self._table_norms = TableNorms(model.tables)
        self._profiler = profiler or Profiler(model_dir, None)
        self._after_evaluation = after_evaluation
        self._watchdog = Watchdog(model_dir, communicator, self.steps.received)
        self._last_save = time.monotonic()
        self._asked_to_stop = False

    def _make_evaluator(self, config: RunConfig) -> Evaluator | None:
        held_out = evaluated_splits(self._data)
        if "validation" in self._config.fit_on or "validation" not in held_out:
            return None
        return make_evaluator(
            self._model,
            self._data,
            "validation",
            config.evaluation,
            config.evaluation.validation_protocols,
            self._communicator,
        )

    @property
    def rows_trained(self) -> int:
        """Rows of all steps so far, over all ranks."""
        reading = self.steps.reading
        rows = sum(self._data.split(reading.view, split).rows for split in reading.splits)
        streams = self.state.streams
        done = sum(streams.positions) / streams.length / len(streams.positions) if streams else 0.0
        return round(rows * (self.state.epoch + done))

    def train(self) -> TrainState:
        """Trains to the last epoch, or until validation stops improving.

        Raises:
            InputError: A loss or gradient is no longer finite; says which and at which step.
            StoppedError: SIGTERM came.
        """
        with (
            on_signal(signal.SIGTERM, self._ask_to_stop),
            on_signal(signal.SIGUSR1, self._profiler.request),
            self._data.explained_reads(),
            self._watchdog,
        ):
            self._reporter.line(
                f"A profile of the next steps, at any time: kill -USR1 {os.getpid()}"
            )
            if self.state.step:
                self._reporter.line(f"Going on from step {self.state.step} of {self.steps.total}")
            self._profiler.after(self.state.step)
            while self.state.epoch < self._config.epochs and not self._stops_early():
                self._train_epoch()
            self._profiler.close()
        if self._evaluator is None or not self.state.best_step:  # no finite value to choose by
            self.state.best_step = self.state.step
        self._save()
        is_chosen = self._evaluator is not None and math.isfinite(self.state.best_value)
        reason = f"validation {self._monitor}" if is_chosen else "last epoch"
        self._checkpoints.mark_best(self.state.best_step, reason)
        if is_chosen and self.state.best_step == self.state.step and not self._stops_early():
            self._reporter.line(
                "The best epoch was the last: more --epochs may do better, from the start or from "
                f"here by --warm_start={self._model_dir} in another --model_dir"
            )
        self._reporter.close()
        return self.state

    def _train_epoch(self) -> None:
        state = self.state
        for call in self.steps.epoch(state.epoch, state.streams):
            self._count(call)
            if any_rank(self._asked_to_stop, self._communicator):
                self._save()
                raise StoppedError
            if self._checkpoint_is_due():
                self._save()
        state.epoch, state.streams = state.epoch + 1, None
        if self._evaluator and self._evaluation_is_due():
            self._evaluate(self._evaluator)

    def _count(self, call: Call) -> None:
        """Takes note of some steps, and reports them."""
        state = self.state
        # Within a call, what one rank found has spoilt the weights of all.
        first_bad = min(call.first_bad.values(), default=call.count)
        share_failure(self._not_finite(call), self._communicator, at=first_bad)
        state.step += call.count
        streams = state.streams or self.steps.new_streams()
        state.streams = streams.after(call.count, self._communicator.size)
        state.seconds += call.seconds
        examples_per_row = self._model.examples_per_row
        scalars = of_call(call, examples_per_row * self._communicator.size)
        if self._communicator.size > 1:
            scalars.update(of_ranks(call, examples_per_row, self._communicator))
        scalars[of_step("learning_rate/dense")] = float(self._model.optimizer.learning_rate)
        table_rate = self.steps.table_schedule(tf.constant(state.step))
        scalars[of_step("learning_rate/tables")] = float(table_rate)
        if self._communicator.rank == 0:
            scalars.update(self._table_norms.scalars())
        self._reporter.steps(state.step, state.epoch, self._config.epochs, scalars)
        self._profiler.after(state.step)

    def _not_finite(self, call: Call) -> InputError | None:
        for name, index in sorted(call.first_bad.items(), key=lambda found: found[1]):
            return InputError(
                f"'{name}' must stay finite",
                received="NaN or infinity",
                where=f"step {self.state.step + index + 1}, epoch {self.state.epoch + 1}",
                action="Lower the learning rate or set trainer.mixed_precision=off; the run "
                "folder keeps the last checkpoint before",
            )
        return None

    def _evaluation_is_due(self) -> bool:
        last = self.state.epoch == self._config.epochs
        return last or self.state.epoch % self._config.evaluate_epochs == 0

    def _evaluate(self, evaluator: Evaluator) -> None:
        state = self.state
        metrics = evaluator.evaluate().metrics
        judge(state, self._monitor, metrics[self._monitor])
        self._reporter.validation(state, self._monitor, metrics)
        self._reporter.line(
            f"{PROGRESS}{state.epoch}/{self._config.epochs}  validation {self._monitor} "
            f"{metrics[self._monitor]:.4f}  best {state.best_value:.4f} at step {state.best_step}"
        )
        if self._after_evaluation:
            self._after_evaluation(state, self._monitor, metrics[self._monitor])
        self._save()

    def _stops_early(self) -> bool:
        patience = self._config.patience
        return bool(patience) and self.state.evaluations_since_best >= patience

    def _checkpoint_is_due(self) -> bool:
        every = self._config.checkpoint_steps
        if every and self.state.step % every == 0:
            return True
        minutes = self._config.checkpoint_minutes
        return bool(minutes) and time.monotonic() - self._last_save > 60 * minutes

    def _save(self) -> None:
        # Writing the same step again would replace a good checkpoint for nothing.
        if self.state != self._saved:
            with failing_together(self._communicator):
                self._data.check_unchanged()  # nor was what is saved trained on another
            self._checkpoints.save(self._model, self.state)
            self._saved = replace(self.state)
        self._last_save = time.monotonic()

    def _ask_to_stop(self) -> None:
        self._asked_to_stop = True


def _same_on_all_ranks(model: Recommender) -> list[tf.Variable]:
    """Returns the variables of a model that every rank holds whole, optimizer slots included."""
    sharded = [stack for stack in model.tables.stacks if stack.shards > 1]
    parts = {id(v) for stack in sharded for v in (stack.variable, *stack.slots.values())}
    return [v for v in [*model.variables, *model.optimizer.variables] if id(v) not in parts]
