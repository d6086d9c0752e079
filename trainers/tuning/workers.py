"""Processes that train the trials of a study, a new one for each trial.

A new process knows nothing of the trials before it: its memory is planned and freed as that of a
run, and one that the system kills takes no other trial with it.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import time
from multiprocessing import connection
from multiprocessing.context import SpawnProcess

from absl import logging
from optuna.study import Study

from data.errors import InputError
from trainers.agreement import StoppedError
from trainers.allocator import keep_freed_memory
from trainers.signals import on_sigterm
from trainers.tuning.job import TuningJob
from trainers.tuning.study import started
from trainers.tuning.trial import next_trial

EXIT_BAD_INPUT = 2
EXIT_SIGTERM = 143
_MOST_DEATHS = 3  # one after the other
_THREAD_VARIABLES = ("TF_NUM_INTRAOP_THREADS", "OMP_NUM_THREADS")


def run_trials(job: TuningJob, study: Study, workers: int, minutes: float | None) -> None:
    """Trains trials until the study has them all.

    Args:
        job: The tuning.
        study: Its study.
        workers: Trials at a time, each in a process with its share of this machine's threads.
        minutes: Time after which no more is started; None for no limit.

    Raises:
        InputError: The trials cannot be trained.
        StoppedError: SIGTERM came.
    """
    deadline = time.monotonic() + 60 * minutes if minutes else float("inf")
    share = max(1, len(os.sched_getaffinity(0)) // workers)
    if workers > 1:
        for name in _THREAD_VARIABLES:
            os.environ.setdefault(name, str(share))
    with on_sigterm(_stop), _Crew(job) as crew:
        while True:
            left = job.trials - started(study) if time.monotonic() < deadline else 0
            crew.grow(min(workers, left + crew.size))
            if not crew.size:
                return
            crew.wait()


def _stop() -> None:
    raise StoppedError


class _Crew:
    """The processes at work; they are stopped when the block ends."""

    def __init__(self, job: TuningJob) -> None:
        self._job = job
        self._context = multiprocessing.get_context("spawn")
        self._processes: list[SpawnProcess] = []
        self._deaths = 0

    def __enter__(self) -> _Crew:
        return self

    def __exit__(self, *error: object) -> None:
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            process.join()

    @property
    def size(self) -> int:
        """Processes at work."""
        return len(self._processes)

    def grow(self, size: int) -> None:
        """Starts processes until there are so many."""
        while self.size < size:
            process = self._context.Process(target=_work, args=(self._job,))
            process.start()
            self._processes.append(process)

    def wait(self) -> None:
        """Waits until a process has ended, and takes note of how.

        Raises:
            InputError: It found what no trial can do better, or several have died in a row.
        """
        connection.wait([process.sentinel for process in self._processes])
        for process in [p for p in self._processes if p.exitcode is not None]:
            process.join()
            self._processes.remove(process)
            self._take_note(process.exitcode or 0)

    def _take_note(self, code: int) -> None:
        if code == EXIT_BAD_INPUT:
            sys.exit(EXIT_BAD_INPUT)  # the process has said why
        self._deaths = self._deaths + 1 if code else 0
        if not code:
            return
        how = f"killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
        print(f"A trial was {how}; it is tried once more", file=sys.stderr)
        if self._deaths >= _MOST_DEATHS:
            raise InputError(
                "A trial's process must live to its end",
                received=f"{self._deaths} in a row that did not, the last one {how}",
                where=self._job.folder,
                action="Free memory, or search smaller models; the same command goes on",
            )


def _work(job: TuningJob) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that started this one
    threading.Thread(target=_end_with_parent, daemon=True).start()
    keep_freed_memory()
    logging.set_verbosity(logging.ERROR)  # TensorFlow's notes on checkpoints help no user
    try:
        next_trial(job)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(EXIT_BAD_INPUT)
    except StoppedError:
        sys.exit(EXIT_SIGTERM)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)
