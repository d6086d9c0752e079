"""Processes that are killed: at random, at the worst moments, and for want of memory."""

from __future__ import annotations

import importlib.util
import os
import signal
import sys
import time
from pathlib import Path

from configs.runs import BEST_FILE, CHECKPOINTS
from trainers.bad_days.commands import REPOSITORY, Running
from trainers.bad_days.outcome import Fault, NotRunError, Outcome, check
from trainers.bad_days.workshop import Workshop, check_equal, newest

_KILLS_PER_EPOCH = 3  # so that a training lasts long enough to be killed that often
_LATEST_IN_START = 4.0  # seconds


def _random_kills(workshop: Workshop) -> Outcome:
    """Kills one training again and again; the last time in its final evaluation."""
    epochs = 2 + workshop.kills // _KILLS_PER_EPOCH
    wanted = workshop.undisturbed(epochs)
    total, folder = newest(wanted), workshop.folder / "killed"
    command = workshop.training(folder, epochs=epochs)
    moments = [_after_a_step, _in_a_checkpoint, _after_a_step, _in_the_start]
    for number in range(workshop.kills):
        moment = moments[number % len(moments)]
        if number == workshop.kills - 1:
            moment = _in_the_final_evaluation
        # Each in its own stretch of the training, so that kills come from its start to its end.
        step = round(total * (number + workshop.random.random()) / (workshop.kills + 1))
        running = workshop.start(command)
        hit = moment(workshop, running, folder, step)
        done = running.kill()
        check(hit and done.code == -signal.SIGKILL, f"it ended before kill {number + 1}")
        described = moment.__name__.strip("_").replace("_", " ")
        workshop.say(f"kill {number + 1} {described}, newest checkpoint {newest(folder)}")
    done = workshop.run(command).succeeded()
    check_equal(folder, wanted)
    lost = "nothing: metrics and weights equal those of a run never killed, bit for bit"
    return Outcome(done.line_with("Going on from step"), lost, f"{workshop.kills} times")


def _after_a_step(workshop: Workshop, running: Running, folder: Path, step: int) -> bool:
    after = max(step, newest(folder))
    hit = running.until(lambda: newest(folder) > after)
    time.sleep(workshop.random.uniform(0, 0.05))
    return hit and running.process.poll() is None


def _in_a_checkpoint(workshop: Workshop, running: Running, folder: Path, step: int) -> bool:
    after = max(step, newest(folder))
    running.until(lambda: newest(folder) > after)
    hit = running.until(lambda: any((folder / CHECKPOINTS).glob(".step-*.partial-*")))
    time.sleep(workshop.random.uniform(0, 0.01))
    return hit


def _in_the_start(workshop: Workshop, running: Running, folder: Path, step: int) -> bool:
    del folder, step
    time.sleep(workshop.random.uniform(0, _LATEST_IN_START))
    return running.process.poll() is None


def _in_the_final_evaluation(workshop: Workshop, running: Running, folder: Path, step: int) -> bool:
    del step
    hit = running.until((folder / BEST_FILE).exists)
    time.sleep(workshop.random.uniform(0, 0.5))
    return hit


def _prepare_killed(workshop: Workshop) -> Outcome:
    out = workshop.folder / "prepared"
    running = workshop.start(workshop.preparation(out))
    hit = running.until(lambda: any(out.parent.glob(f".{out.name}.partial-*")))
    running.kill()
    check(hit and not out.exists(), "a part of a dataset is there")
    workshop.run(workshop.preparation(out)).succeeded()
    left = [path.name for path in out.parent.glob(f".{out.name}.*")]
    check(not left, f"left behind: {left}")
    check_same_files(out, workshop.data)
    return Outcome("Killed", "nothing: no folder, or the whole; the same command makes it")


def check_same_files(found: Path, wanted: Path) -> None:
    """Checks that two folders hold the same files.

    Raises:
        UnexpectedError: They do not.
    """
    contents = [
        {path.relative_to(of): path.read_bytes() for path in of.rglob("*") if path.is_file()}
        for of in (found, wanted)
    ]
    check(contents[0] == contents[1], f"{found} and {wanted} differ")


def _rank_killed(workshop: Workshop) -> Outcome:
    command = on_two_ranks(workshop, workshop.folder / "ranks")
    folder = workshop.folder / "ranks"
    running = workshop.start(command, env={**os.environ, "PYTHON": sys.executable})
    check(running.until(lambda: newest(folder) > 0), f"no checkpoint: {running.log}")
    os.kill(_process(f"--model_dir={folder}", "HOROVOD_RANK=1"), signal.SIGKILL)
    done = running.wait()
    check(done.code > 0, "the run ended as if nothing had happened")
    said = done.line_with("failed first (killed by SIGKILL)")
    done.line_with("memory", "--plan", "goes on from the newest checkpoint")
    again = workshop.run(command, env={**os.environ, "PYTHON": sys.executable}).succeeded()
    again.line_with("Going on from step")
    return Outcome(said, "nothing: the same command goes on from the newest checkpoint")


def on_two_ranks(workshop: Workshop, model_dir: Path) -> list[str]:
    """Returns the command that trains on two ranks.

    Raises:
        NotRunError: Horovod is not installed.
    """
    if importlib.util.find_spec("horovod") is None:
        raise NotRunError("Horovod is not installed: launch/build_horovod.sh")
    sharded = "--set=trainer.placement=sharded"
    return [str(REPOSITORY / "launch/local.sh"), "2", *workshop.flags(model_dir), sharded]


def _check_killed(workshop: Workshop) -> Outcome:
    run, out = workshop.finished("to-export"), workshop.folder / "exports"
    command = [sys.executable, "-m", "serving.export", f"--model_dir={run}", f"--export_dir={out}"]
    running = workshop.start(command)
    found: list[int] = []

    def appeared() -> bool:
        found[:] = _processes(str(out), "", "serving.verify")
        return bool(found)

    check(running.until(appeared), f"no checking process: {running.log}")
    os.kill(found[0], signal.SIGKILL)
    said = running.wait().refused("killed by SIGKILL")
    check(not any(out.glob("[!.]*")), "something was published")
    workshop.run(command).succeeded()
    return Outcome(said, "nothing: nothing unchecked is published; the same command exports")


def _process(argument: str, variable: str) -> int:
    found = _processes(argument, variable, "trainers.run")
    check(bool(found), f"no process with {argument} and {variable}")
    return max(found)  # the rank, not what started it


def _processes(argument: str, variable: str, module: str) -> list[int]:
    """Returns the processes of a module, with a text in their arguments and in their variables."""
    if not Path("/proc/self/environ").exists():
        raise NotRunError("it needs /proc")
    return [
        int(p.name) for p in Path("/proc").glob("[0-9]*") if _fits(p, argument, variable, module)
    ]


def _fits(process: Path, argument: str, variable: str, module: str) -> bool:
    try:
        line = (process / "cmdline").read_bytes().decode(errors="replace").split("\0")
        environment = (process / "environ").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return False
    is_module = line[1:3] == ["-m", module]
    return is_module and argument in " ".join(line) and (not variable or variable in environment)


FAULTS: tuple[Fault, ...] = (
    Fault(
        "kills", "kill -9 at random steps, in checkpoints, starts and the evaluation", _random_kills
    ),
    Fault("killed_prepare", "kill -9 while data is prepared", _prepare_killed),
    Fault("killed_rank", "out of memory: one rank of two is killed", _rank_killed),
    Fault(
        "killed_check", "out of memory: the process that checks an export is killed", _check_killed
    ),
)
