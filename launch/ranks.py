"""Starts a program on several ranks by horovodrun, and tells at the end which one failed and why.

  launch/ranks.py OPTION_OF_HOROVODRUN... -- [-m MODULE] FLAG...

Called by local.sh, ssh.sh and elastic.sh, which say how. Needs nothing but Python, psutil and
Horovod.

Every rank's output is shown as it comes, and kept in a folder. Where the program fails, the last
lines of the rank that failed first come after everything else, and its exit code is returned.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import re
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from types import FrameType

import psutil

_FIRST_FAILED = re.compile(r"Process name: (\S+)\s+Exit code: (-?\d+)", re.MULTILINE)
_EXITED = re.compile(r"^Process (\d+) exit with status code (-?\d+)\.", re.MULTILINE)
_OF_RANK = re.compile(r"\[\d+\]<|Process \d+ exit ")
_PREFIX = re.compile(r"^\[\d+\]<\w+>:")
_TOLD_LINES = 12
_KILLED = (
    "The system kills a process so when memory runs out (dmesg | tail). --plan --ranks=N says what "
    "a rank needs; the same command goes on from the newest checkpoint."
)
_NO_HOROVOD = (
    "error: Training on several ranks needs Horovod. Received: none is installed for {python}. "
    "Build and install it: PYTHON={python} launch/build_horovod.sh"
)
_EXIT_BAD_INPUT = 2
_EXIT_LOST_RANK = 3  # of trainers.failures: another rank has failed
_NOISE = ("I0000", "WARNING: All log messages", "E0000", "W0000", "Extension modules:")


def horovodrun(options: list[str], logs: Path) -> list[str]:
    """Returns horovodrun's command with some options, up to the program's own."""
    command = [sys.executable, str(Path(__file__).with_name("horovodrun.py")), "--gloo"]
    command += ["--output-filename", str(logs)]
    command += ["--stall-check-warning-time-seconds", os.environ.get("STALL_WARNING", "15")]
    command += ["--stall-check-shutdown-time-seconds", os.environ.get("STALL_SHUTDOWN", "120")]
    command += ["--gloo-timeout-seconds", os.environ.get("GLOO_TIMEOUT", "30")]
    if os.environ.get("TIMELINE"):
        command += ["--timeline-filename", os.environ["TIMELINE"]]
    for flag, variable in (
        ("--network-interfaces", "NETWORK_INTERFACE"),
        ("--ssh-port", "SSH_PORT"),
        ("--ssh-identity-file", "SSH_IDENTITY_FILE"),
    ):
        if os.environ.get(variable):
            command += [flag, os.environ[variable]]
    return command + options


def failure(output: str, logs: Path) -> tuple[str, int]:
    """Returns which rank failed first and its last words, and its exit code.

    Args:
        output: What horovodrun itself printed.
        logs: Folder with each rank's output.
    """
    first = _first_failed(output)
    if first is None:
        return "The ranks did not start or did not end well; see above.", 1
    name, code = first[1], int(first[2])
    folder = next((f for f in logs.glob("rank.*") if int(f.name[5:]) == _rank(name)), None)
    words: list[str] = []
    if folder is not None:
        text = (folder / "stderr").read_text(encoding="utf-8", errors="replace")
        said = [_PREFIX.sub("", line) for line in text.splitlines()]
        words = [line for line in said if line.strip() and not line.startswith(_NOISE)]
    killed = -code if code < 0 else code - 128
    how = f"exit code {code}"
    if killed in list(signal.Signals):
        how = f"killed by {signal.Signals(killed).name}"
    advice = [_KILLED] if killed == signal.SIGKILL else []
    lines = [f"Rank {name} failed first ({how}), which ended all ranks. It last said:"]
    lines += [f"  {line}" for line in words[-_TOLD_LINES:]] or ["  nothing"]
    return "\n".join([*lines, *advice, f"Output of each rank: {logs}"]), code if code > 0 else 1


def _first_failed(output: str) -> re.Match[str] | None:
    """Returns the name and the exit code of the rank that failed first."""
    first = _FIRST_FAILED.search(output) or _EXITED.search(output)
    if first and int(first[2]) == _EXIT_LOST_RANK:  # it was faster to end than the one it lost
        followed = (0, _EXIT_LOST_RANK, -signal.SIGTERM, 128 + signal.SIGTERM)
        others = (exited for exited in _EXITED.finditer(output) if int(exited[2]) not in followed)
        return next(others, first)
    return first


def _rank(name: str) -> int:
    digits = re.findall(r"\d+", name)
    return int(digits[-1]) if digits else -1


def run(command: list[str]) -> tuple[int, str, list[int]]:
    """Runs horovodrun, and shows what it prints but for its own traceback.

    Returns:
        Its exit code, what it printed itself, and the signals that came meanwhile.
    """
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,  # or Ctrl-C would reach it, and it kills its ranks
    )
    signals = _stop_gently(process)
    kept: list[str] = []
    in_traceback = False
    assert process.stdout is not None
    for line in process.stdout:
        of_rank = _OF_RANK.match(line) is not None
        in_traceback = not of_rank and (in_traceback or line.startswith("Traceback"))
        if not line.startswith("["):
            kept.append(line)
        if not in_traceback and not _is_noise(line):
            print(line, end="", flush=True)
    return process.wait(), "".join(kept), signals


def _stop_gently(process: subprocess.Popen[str]) -> list[int]:
    """Hands the first SIGINT or SIGTERM to a rank, which lets all take a checkpoint and end.

    The next goes to horovodrun, which kills the ranks; and so does the first if no rank is here.
    Returns the signals that came, as a list that grows.
    """
    asked: list[int] = []

    def stop(number: int, _: FrameType | None) -> None:
        rank = None if asked else _rank_of(process.pid)
        asked.append(number)
        if rank is None:
            process.send_signal(number)
            return
        print("Stopping all ranks when they have a checkpoint; again: at once", file=sys.stderr)
        with contextlib.suppress(psutil.Error):
            rank.terminate()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    return asked


def _rank_of(horovodrun_pid: int) -> psutil.Process | None:
    """Returns the process of a rank that was started on this host; None if there is none."""
    with contextlib.suppress(psutil.NoSuchProcess):
        for child in psutil.Process(horovodrun_pid).children(recursive=True):
            with contextlib.suppress(psutil.Error):
                if child.cmdline()[:1] == [sys.executable] and "HOROVOD_RANK" in child.environ():
                    return child
    return None


def _is_noise(line: str) -> bool:
    said = line.partition(":")[2] if line.startswith("[") else line
    return said.startswith(_NOISE) or said.strip() == "Terminated"


def main() -> None:
    """Runs the ranks. Without `-m` the program is trainers.run."""
    if importlib.util.find_spec("horovod") is None:
        print(_NO_HOROVOD.format(python=sys.executable), file=sys.stderr)
        sys.exit(_EXIT_BAD_INPUT)
    at = sys.argv.index("--") if "--" in sys.argv else len(sys.argv)
    options, program = sys.argv[1:at], sys.argv[at + 1 :]
    if program[:1] != ["-m"]:
        program = ["-m", "trainers.run", *program]
    logs = Path(os.environ.get("LOG_DIR") or tempfile.mkdtemp(prefix="ranks-"))
    logs.mkdir(parents=True, exist_ok=True)
    code, output, signals = run([*horovodrun(options, logs), sys.executable, *program])
    if code and signals:
        code = 128 + signals[0]
        print(f"Stopped by a signal. Output of each rank: {logs}", file=sys.stderr)
    elif code:
        text, code = failure(output, logs)
        print(f"\n{text}", file=sys.stderr)
    sys.exit(code)


if __name__ == "__main__":
    main()
