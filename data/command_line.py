"""What the commands of this package have in common."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from absl import flags

from data.errors import InputError

if TYPE_CHECKING:  # it loads TensorFlow, and not every command needs that
    from data.row_stream import Report

EXIT_BAD_INPUT = 2


def parse_flags(argv: list[str]) -> list[str]:
    """Returns the arguments that are no flags; ends the process with exit code 2 on a bad flag.

    absl would end it with 1, which tells of findings.
    """
    try:
        return flags.FLAGS(argv)
    except flags.Error as error:
        print(f"error: {error}. See --help.", file=sys.stderr)
        sys.exit(EXIT_BAD_INPUT)


def no_argument(argv: list[str]) -> None:
    """Ends the process with exit code 2 where there are arguments that are no flags."""
    if len(argv) > 1:
        error = InputError(
            "Only flags are taken, as --name=value", received=argv[1], action="See --help"
        )
        print(f"error: {error}", file=sys.stderr)
        sys.exit(EXIT_BAD_INPUT)


def dataset_folder(argv: list[str]) -> Path:
    """Returns the one argument of a command.

    Raises:
        InputError: None, or more than one.
    """
    if len(argv) != 2:
        raise InputError(
            "One prepared dataset must be named",
            received=" ".join(argv[1:]) or "none",
            action="Write the folder that data.prepare made; see --help",
        )
    return Path(argv[1])


def run_main(run: Callable[[Report], int | None]) -> int:
    """Runs a command and returns its exit code: 2 on bad input, whose error it prints.

    Args:
        run: The command; is given what prints its progress, returns its exit code or None for 0.
    """
    started = time.perf_counter()

    def report(text: str) -> None:
        print(f"[{time.perf_counter() - started:6.1f} s] {text}", file=sys.stderr, flush=True)

    try:
        return run(report) or 0
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
    except OSError as error:
        rule = "Sources must be readable, and the output writable with room on its disk"
        print(f"error: {InputError(rule, received=error)}", file=sys.stderr)
    return EXIT_BAD_INPUT
