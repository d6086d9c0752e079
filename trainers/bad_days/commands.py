"""Commands of the project, started as its users start them."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data.command_line import EXIT_BAD_INPUT
from trainers.bad_days.outcome import UnexpectedError, check

REPOSITORY = Path(__file__).parents[2]
_PATIENCE_SECONDS = 600.0


@dataclass(frozen=True)
class Done:
    """A command that has come to its end.

    Attributes:
        code: Exit code; negative where a signal ended it.
        output: All that it printed.
        log: File that holds the same.
    """

    code: int
    output: str
    log: Path

    def line_with(self, *texts: str) -> str:
        """Returns the first line that holds all the texts.

        Raises:
            UnexpectedError: There is none.
        """
        for line in self.output.splitlines():
            if all(text in line for text in texts):
                return line.strip()
        raise UnexpectedError(f"no line with {' and '.join(map(repr, texts))} in {self.log}")

    def refused(self, *texts: str) -> str:
        """Returns the error that the command ended with, which must hold the texts.

        Raises:
            UnexpectedError: It did not end with one clear error.
        """
        check(self.code == EXIT_BAD_INPUT, f"exit code {self.code}, not 2: {self.log}")
        check("Traceback" not in self.output, f"a traceback in {self.log}")
        return self.line_with("error: ", *texts)

    def succeeded(self) -> Done:
        """Returns itself.

        Raises:
            UnexpectedError: The command failed.
        """
        check(self.code == 0, f"exit code {self.code}: {self.log}")
        return self


@dataclass
class Running:
    """A command at work."""

    process: subprocess.Popen[bytes]
    log: Path

    def wait(self) -> Done:
        """Returns what came of it."""
        code = self.process.wait(_PATIENCE_SECONDS)
        return Done(code, self.log.read_text(encoding="utf-8", errors="replace"), self.log)

    def until(self, happened: Callable[[], bool]) -> bool:
        """Waits for something; returns False where the command ended before it."""
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while not happened():
            if self.process.poll() is not None:
                return happened()
            check(time.monotonic() < deadline, f"nothing happened for long: {self.log}")
            time.sleep(0.001)
        return True

    def kill(self) -> Done:
        """Ends it as `kill -9` does."""
        self.process.kill()
        return self.wait()

    def end(self) -> None:
        """Ends it and what it has started, if it is still at work."""
        if self.process.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


def start(command: list[str], log: Path, options: Mapping[str, Any]) -> Running:
    """Starts a command whose output goes to a file.

    Args:
        command: Program and arguments.
        log: The file.
        options: For `subprocess.Popen`.
    """
    with log.open("wb") as file:
        file.write(f"$ {' '.join(command)}\n".encode())
        file.flush()
        streams: dict[str, Any] = {"stdout": file, "stderr": subprocess.STDOUT}
        group: dict[str, Any] = {"cwd": REPOSITORY, "start_new_session": True}
        return Running(subprocess.Popen(command, **streams, **group, **options), log)
