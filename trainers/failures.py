"""How a training command ends when it fails: one message for people, and an exit code."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import tensorflow as tf

from data.command_line import EXIT_BAD_INPUT
from data.errors import InputError
from trainers.agreement import OtherRankError, StoppedError
from trainers.distributed import is_lost_rank

EXIT_LOST_RANK = 3  # of ranks that have nothing to say but that another has failed
EXIT_SIGTERM = 143
# That they wait: launchers tell what the first rank to end has said, and then end the others.
_LAST_WORD_SECONDS = 5.0


@contextmanager
def explained_failures() -> Iterator[None]:
    """Ends the process with a message where the block fails for a reason that users can mend."""
    try:
        yield
    except InputError as error:
        _leave(f"error: {error}", EXIT_BAD_INPUT)
    except OtherRankError:
        time.sleep(_LAST_WORD_SECONDS)
        sys.exit(EXIT_LOST_RANK)
    except StoppedError:
        _leave("Stopped by SIGTERM; the same command goes on from here", EXIT_SIGTERM)
    except MemoryError as error:
        _leave(f"error: {_out_of_memory(str(error))}", EXIT_BAD_INPUT)
    except OSError as error:
        rule = "The dataset must be readable, and the run folder writable with room on its disk"
        action = "Mend that; the same command goes on from the newest checkpoint"
        _leave(f"error: {InputError(rule, received=error, action=action)}", EXIT_BAD_INPUT)
    except tf.errors.OpError as error:
        if is_lost_rank(error):
            time.sleep(_LAST_WORD_SECONDS)
            message = "error: Another rank has ended, is stalled or cannot be reached any more"
            _leave(message, EXIT_LOST_RANK)
        if isinstance(error, tf.errors.ResourceExhaustedError):
            _leave(f"error: {_out_of_memory(error.message.splitlines()[0])}", EXIT_BAD_INPUT)
        raise


def _out_of_memory(received: str) -> InputError:
    return InputError(
        "Memory and disk must suffice",
        received=received or "no memory left",
        action="See what the run needs with --plan; after that the same command goes on from the "
        "newest checkpoint",
    )


def _leave(message: str, code: int) -> None:
    print(message, file=sys.stderr)
    sys.exit(code)
