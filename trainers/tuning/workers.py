"""Processes that train the trials of a study, a new one for each trial.

A new process knows nothing of the trials before it: its memory is planned and freed as that of a
run, and one that the system kills takes no other trial with it.
"""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import time
from contextlib import suppress

from optuna.study import Study

from data.errors import InputError
from trainers.agreement import StoppedError
from trainers.signals import on_signal
from trainers.tuning.job import TuningJob
from trainers.tuning.study import retry_interrupted, started
from trainers.tuning.turn import Turn
from trainers.tuning.worker import EXIT_BAD_INPUT

LOG_FILE = "workers.log"  # what TensorFlow, or a process that dies, writes to stderr
_MOST_DEATHS = 3  # one after the other
_SECONDS_BETWEEN_LOOKS = 0.2
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
    deadline = float("inf") if minutes is None else time.monotonic() + 60 * minutes
    with on_signal(signal.SIGTERM, _stop), Crew(job, workers) as crew:
        while True:
            if time.monotonic() < deadline:
                with Turn(job.folder):
                    retry_interrupted(study, job)
                    left = job.trials - started(study)
                crew.grow(left)
            if not crew.size:
                return
            crew.wait()


def _stop() -> None:
    raise StoppedError


class Crew:
    """The processes at work; they are stopped when the block ends.

    Args:
        job: The tuning.
        most: Most processes at a time.
    """

    def __init__(self, job: TuningJob, most: int) -> None:
        self._job = job
        self._most = most
        self._processes: list[subprocess.Popen[bytes]] = []
        self._deaths = 0

    def __enter__(self) -> Crew:
        return self

    def __exit__(self, *error: object) -> None:
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            process.wait()

    @property
    def size(self) -> int:
        """Processes at work."""
        return len(self._processes)

    def grow(self, trials: int) -> None:
        """Starts processes for so many trials, as far as there may be more of them."""
        for _ in range(min(trials, self._most - self.size)):
            self._processes.append(self._start())

    def _start(self) -> subprocess.Popen[bytes]:
        share = max(1, len(os.sched_getaffinity(0)) // self._most)
        threads = {name: str(share) for name in _THREAD_VARIABLES} if self._most > 1 else {}
        with (self._job.folder / LOG_FILE).open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "trainers.tuning.worker"],
                stdin=subprocess.PIPE,
                stdout=sys.stderr,
                stderr=log,
                env={**threads, **os.environ},
            )
        assert process.stdin is not None
        with suppress(BrokenPipeError):  # of a process that has died already, as `wait` finds
            process.stdin.write(pickle.dumps(self._job))
            process.stdin.flush()  # and left open: its end tells that this process is gone
        return process

    def wait(self) -> None:
        """Waits until a process has ended, and takes note of how.

        Raises:
            InputError, SystemExit: As `take_note`.
        """
        while all(process.poll() is None for process in self._processes):
            time.sleep(_SECONDS_BETWEEN_LOOKS)
        for process in [p for p in self._processes if p.returncode is not None]:
            self._processes.remove(process)
            if process.stdin:
                process.stdin.close()
            self.take_note(process.returncode)

    def take_note(self, code: int) -> None:
        """Tells of a process that ended with the given exit code, as `Popen` gives it.

        Raises:
            InputError: Several have died in a row.
            SystemExit: It found what no trial can do better, and has said so.
        """
        if code == EXIT_BAD_INPUT:
            sys.exit(EXIT_BAD_INPUT)
        self._deaths = self._deaths + 1 if code else 0
        if not code:
            return
        how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
        log = self._job.folder / LOG_FILE
        print(f"The process of a trial {how}, see {log}; it is tried once more", file=sys.stderr)
        if self._deaths >= _MOST_DEATHS:
            raise InputError(
                "The process of a trial must live to its end",
                received=f"{self._deaths} in a row that did not; the last one {how}",
                where=log,
                action="Free memory, or search smaller models; the same command goes on",
            )
