"""Data that changes under a run, and two runs in one folder."""

from __future__ import annotations

import signal
from pathlib import Path

from trainers.bad_days.damage import flip_a_bit
from trainers.bad_days.outcome import Fault, Outcome, check
from trainers.bad_days.workshop import Workshop, check_equal, newest


def _damaged_shard(workshop: Workshop) -> Outcome:
    data = workshop.copy(workshop.data, workshop.folder / "damaged-data")
    shard = min((data / "rows").glob("train-*"))
    flip_a_bit(shard)
    run = workshop.folder / "on-damaged-data"
    said = workshop.run(workshop.training(run, data=data)).refused(str(shard), "record ", "offset ")
    flip_a_bit(shard)
    workshop.goes_on(run, data)
    return Outcome(said, "nothing: nothing was trained on it; a good copy is trained on")


def _replaced_while_running(workshop: Workshop) -> Outcome:
    data = workshop.copy(workshop.data, workshop.folder / "replaced-data")
    run = workshop.folder / "on-replaced-data"
    other = workshop.copy(workshop.other_data, data.with_name("replacing-data"))
    running = workshop.start(workshop.training(run, data=data))
    check(running.until(lambda: newest(run) > 0), f"no checkpoint: {running.log}")
    aside = data.with_name("replaced-data-before")
    data.rename(aside)
    other.rename(data)
    said = running.wait().refused("must stay as it is while it is read")
    step = newest(run)
    _put_back(aside, data)
    workshop.goes_on(run, data).line_with(f"Going on from step {step} ")
    return Outcome(said, "nothing: no checkpoint holds a step on the other data")


def _replaced_before_resuming(workshop: Workshop) -> Outcome:
    data = workshop.copy(workshop.data, workshop.folder / "prepared-again")
    run = workshop.stopped("to-resume-on-other-data")
    aside = workshop.copy(data, data.with_name("prepared-before"))
    workshop.run(workshop.preparation(data, 2, "--overwrite")).succeeded()
    said = workshop.run(workshop.training(run, data=data)).refused("data.schema_sha256")
    _put_back(aside, data)
    workshop.goes_on(run, data)
    return Outcome(said, "nothing: the run goes on with its own data")


def _put_back(aside: Path, data: Path) -> None:
    data.rename(data.with_name(f"{data.name}-other"))
    aside.rename(data)


def _two_trainings(workshop: Workshop) -> Outcome:
    run = workshop.folder / "shared-run"
    first = workshop.start(workshop.training(run))
    check(first.until(lambda: newest(run) > 0), f"no checkpoint: {first.log}")
    first.process.send_signal(signal.SIGSTOP)  # or it could end before the second has begun
    try:
        said = workshop.run(workshop.training(run)).refused("another process is training")
    finally:
        first.process.send_signal(signal.SIGCONT)
    first.wait().succeeded()
    check_equal(run, workshop.undisturbed())
    return Outcome(said, "nothing: the first trains on, to equal bits")


FAULTS: tuple[Fault, ...] = (
    Fault("damaged_shard", "a bit flips in a shard of the data", _damaged_shard),
    Fault(
        "replaced_data", "the dataset is replaced while it is trained on", _replaced_while_running
    ),
    Fault(
        "prepared_again",
        "the dataset is prepared anew, then the run resumed",
        _replaced_before_resuming,
    ),
    Fault("two_trainings", "two trainings in one --model_dir", _two_trainings),
)
