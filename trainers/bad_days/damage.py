"""Checkpoints whose files have changed on the disk."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

from configs.runs import BEST_FILE, CHECKPOINTS
from trainers.bad_days.kills import on_two_ranks
from trainers.bad_days.outcome import Fault, Outcome, check
from trainers.bad_days.workshop import Workshop, checkpoints

_INDEX = "weights.index"
_TABLE = "tables/item/values-00000-of-00001.npy"
_DENSE = "weights.data-00000-of-00001"

Damage = Callable[[Path], None]


def flip_a_bit(path: Path) -> None:
    """Flips one bit in the middle of a file."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def _cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 7)


def _newest_damaged(file: str, spoil: Damage) -> Callable[[Workshop], Outcome]:
    def inject(workshop: Workshop) -> Outcome:
        run = workshop.stopped(f"damaged-{spoil.__name__.strip('_')}-{Path(file).suffix[1:]}")
        before, last = checkpoints(run)[-2:]
        spoil(last / file)
        done = workshop.goes_on(run)
        said = done.line_with("warning: ", last.name, "is damaged")
        step = int(before.name.rpartition("-")[2])
        done.line_with(f"going back to {before.name}")
        done.line_with(f"Going on from step {step} ")
        return Outcome(said, "nothing: the steps since were taken again, to equal bits")

    return inject


def _all_damaged(workshop: Workshop) -> Outcome:
    run = workshop.stopped("all-damaged")
    for checkpoint in checkpoints(run):
        flip_a_bit(checkpoint / _TABLE)
    said = workshop.run(workshop.training(run)).refused("whose files are whole")
    for checkpoint in checkpoints(run):
        flip_a_bit(checkpoint / _TABLE)  # back to what it was
    workshop.goes_on(run)
    return Outcome(said, "nothing: all was left as it was found, and nothing began anew")


def _best_damaged(*module: str) -> Callable[[Workshop], Outcome]:
    def inject(workshop: Workshop) -> Outcome:
        run = workshop.finished(f"best-damaged-{len(module)}-{module[-1].strip('-')[:4]}")
        best = json.loads((run / BEST_FILE).read_text())["checkpoint"]
        before = (run / "metrics.json").read_bytes()
        flip_a_bit(run / CHECKPOINTS / best / _DENSE)
        given = [flag.replace("EXPORT", str(run / "export")) for flag in module]
        command = [sys.executable, "-m", *given, f"--model_dir={run}"]
        said = workshop.run(command).refused("must be as it was written", best)
        check((run / "metrics.json").read_bytes() == before, "metrics.json was changed")
        check(not any(run.glob("export/[!.]*")), "something was exported")
        (run / "metrics.json").unlink()  # as the message says
        workshop.goes_on(run)
        return Outcome(said, "nothing: trained again from the checkpoint before, to equal bits")

    return inject


def _damaged_on_two_ranks(workshop: Workshop) -> Outcome:
    run = workshop.folder / "damaged-ranks"
    command = on_two_ranks(workshop, run)
    environment = {"env": {**os.environ, "PYTHON": sys.executable}}
    running = workshop.start(command, **environment)
    check(running.until(lambda: len(checkpoints(run)) > 1), f"no checkpoints: {running.log}")
    running.process.terminate()
    running.wait()
    before, last = checkpoints(run)[-2:]
    flip_a_bit(last / "tables/item/values-00001-of-00002.npy")  # which rank 1 alone reads
    done = workshop.run(command, **environment).succeeded()
    said = done.line_with("warning: ", last.name, "is damaged").partition(":")[2].strip()
    done.line_with(f"Going on from step {int(before.name.rpartition('-')[2])} ")
    return Outcome(said, "nothing: both ranks went back to the same checkpoint")


_NEWEST = "the newest checkpoint: "
FAULTS: tuple[Fault, ...] = (
    Fault(
        "damaged_index", _NEWEST + "a bit flips in the index", _newest_damaged(_INDEX, flip_a_bit)
    ),
    Fault(
        "damaged_dense",
        _NEWEST + "a bit flips in the dense weights",
        _newest_damaged(_DENSE, flip_a_bit),
    ),
    Fault("damaged_table", _NEWEST + "a bit flips in a table", _newest_damaged(_TABLE, flip_a_bit)),
    Fault(
        "damaged_state",
        _NEWEST + "a bit flips in its position",
        _newest_damaged("state.json", flip_a_bit),
    ),
    Fault("cut_table", _NEWEST + "a table is cut short", _newest_damaged(_TABLE, _cut)),
    Fault("missing_table", _NEWEST + "a table is missing", _newest_damaged(_TABLE, Path.unlink)),
    Fault("damaged_all", "all checkpoints: a bit flips in a table", _all_damaged),
    Fault(
        "damaged_ranks",
        "two ranks, the newest checkpoint: a bit flips in rank 1's part",
        _damaged_on_two_ranks,
    ),
    Fault(
        "damaged_evaluate",
        "the best checkpoint is damaged, then --mode=evaluate",
        _best_damaged("trainers.run", "--mode=evaluate"),
    ),
    Fault(
        "damaged_export",
        "the best checkpoint is damaged, then serving.export",
        _best_damaged("serving.export", "--export_dir=EXPORT"),
    ),
)
