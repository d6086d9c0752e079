"""The process of one trial, which `trainers.tune` starts; reads its `TuningJob` from stdin.

What it has to tell goes to stdout: the trial's line, or an error. It ends when its stdin does, for
whoever started it is then gone.
"""

from __future__ import annotations

import os
import pickle
import signal
import sys
import threading

from absl import logging

import models  # noqa: F401  Keras 2 must be chosen before tf.keras is touched.
from data.command_line import EXIT_BAD_INPUT
from data.errors import InputError
from trainers.agreement import StoppedError
from trainers.allocator import keep_freed_memory
from trainers.tuning.next_trial import next_trial

EXIT_SIGTERM = 143


def main() -> int:
    """Trains the next trial; returns the exit code."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that started this one
    job = pickle.load(sys.stdin.buffer)
    threading.Thread(target=_end_with_stdin, daemon=True).start()
    keep_freed_memory()
    logging.set_verbosity(logging.ERROR)  # TensorFlow's notes on checkpoints help no user
    try:
        next_trial(job)
    except InputError as error:
        print(f"error: {error}", flush=True)
        return EXIT_BAD_INPUT
    except StoppedError:
        return EXIT_SIGTERM
    return 0


def _end_with_stdin() -> None:
    os.read(sys.stdin.fileno(), 1)
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main())
