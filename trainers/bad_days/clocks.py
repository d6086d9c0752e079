"""Clocks that jump: of the files, and of the machine."""

from __future__ import annotations

import functools
import json
import os
import re
import time
from pathlib import Path

from configs.results import METRICS_FILE
from trainers.bad_days.commands import Done
from trainers.bad_days.outcome import Fault, NotRunError, Outcome, check
from trainers.bad_days.workshop import Workshop, check_equal, checkpoints, newest

_YEAR = 365 * 86_400
_LONGEST_LEFT = 30 * 60  # seconds that such a small run may say are left
_LEFT = re.compile(r"(\S+) left$", re.MULTILINE)
_CLOCK = re.compile(r"(?:(\d+):)?(\d\d):(\d\d)")


def _strange_file_times(workshop: Workshop) -> Outcome:
    run = workshop.stopped("strange-times")
    step = newest(run)
    *older, last = checkpoints(run)
    for checkpoint, when in [*((path, time.time() + 10 * _YEAR) for path in older), (last, _YEAR)]:
        for path in [checkpoint, *checkpoint.rglob("*")]:
            os.utime(path, (when, when))
    said = workshop.goes_on(run).line_with(f"Going on from step {step} ")
    return Outcome(said, "nothing: a checkpoint is told by its step, to equal bits")


def _back_between(workshop: Workshop) -> Outcome:
    run = workshop.folder / "clock-back-between"
    running = workshop.start(workshop.training(run), env=_shifted(f"+{2 * 365}d"))
    check(running.until(lambda: newest(run) >= 100), f"ended early: {running.log}")
    running.kill()
    step, last = newest(run), checkpoints(run)[-1]
    check(last.stat().st_mtime < time.time() + _YEAR, "the disk has taken the process's clock")
    done = workshop.goes_on(run)
    said = done.line_with(f"Going on from step {step} ")
    _check_durations(done, run)
    return Outcome(said, "nothing: equal bits, times and ETA right", "libfaketime, 2 years")


def _jumps_while_running(workshop: Workshop) -> Outcome:
    run, clock = workshop.folder / "clock-jumps", workshop.folder / "clock"
    clock.write_text("+0")
    variables = _shifted(None) | {"FAKETIME_TIMESTAMP_FILE": str(clock), "FAKETIME_NO_CACHE": "1"}
    running = workshop.start(workshop.training(run), env=variables)
    for after, jump in ((0, "-30d"), (100, "+400d"), (200, "-3650d")):
        hit = running.until(functools.partial(_is_past, run, after))
        check(hit, f"ended early: {running.log}")
        clock.write_text(jump)
    done = running.wait().succeeded()
    check_equal(run, workshop.undisturbed())
    _check_durations(done, run)
    said = done.line_with(" left")
    return Outcome(
        said,
        "nothing: equal bits, times and ETA right",
        "libfaketime, by -30, +400 and -3,650 days",
    )


def _is_past(run: Path, step: int) -> bool:
    return newest(run) > step


def _shifted(by: str | None) -> dict[str, str]:
    """Returns variables under which the clock of a process is wrong, but not the monotonic one.

    Raises:
        NotRunError: There is no libfaketime.
    """
    found = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
    if not found:
        raise NotRunError("it needs libfaketime: apt-get install faketime")
    variables = {**os.environ, "LD_PRELOAD": str(found[0]), "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
    return variables | ({"FAKETIME": by} if by else {})


def _check_durations(done: Done, run: Path) -> None:
    left = [_CLOCK.fullmatch(text) for text in _LEFT.findall(done.output)]
    check(bool(left) and all(left), f"no ETA, or one that makes no sense: {done.log}")
    hours = [int(found[1] or 0) + int(found[2]) / 60 for found in left if found]
    check(max(hours) * 3600 < _LONGEST_LEFT, f"an ETA of {max(hours):.1f} hours: {done.log}")
    timings = json.loads((run / METRICS_FILE).read_text())["timings"]
    for name in ("train_seconds", "wall_seconds", "evaluation_seconds"):
        check(0 < timings[name] < _LONGEST_LEFT, f"{name} is {timings[name]}")


FAULTS: tuple[Fault, ...] = (
    Fault(
        "file_times",
        "older checkpoints dated 10 years ahead, the newest in 1971",
        _strange_file_times,
    ),
    Fault("clock_between", "the clock goes back between two parts of a run", _back_between),
    Fault("clock_running", "the clock jumps while a run trains", _jumps_while_running),
)
