"""Checks on your own cluster that many ranks train the same model as one.

  horovodrun -np 4 --gloo python -m trainers.verify_distributed
  launch/ssh.sh hosts.txt -m trainers.verify_distributed --models=dlrm,ncf --wire_dtype=bfloat16

Every model is trained on a small synthetic world: by rank 0 alone on the whole batches, and by all
ranks on their shares of them, tables replicated and then sharded. After 20 steps all tables and
dense weights of every rank must agree with those of rank 0 alone, and so must all metrics of an
evaluation that the ranks split. Prints a line a case; exits with 1 and names the first variable
that differs.

Dropout is off, as each rank draws its own; the dense optimizer is SGD, as Adam divides gradients
that are zero but for rounding by themselves. For the same reason check lower precisions with
--table_optimizers=sgd.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # before TensorFlow is loaded

from absl import app, flags, logging

import models  # noqa: F401  Keras 2 must be chosen before tf.keras is touched.
from configs.registry import MODELS
from data.assemble import PrepareOptions, prepare
from data.command_line import EXIT_BAD_INPUT, no_argument, parse_flags
from data.dataset import PreparedDataset
from data.errors import InputError
from data.sources import synthetic
from models.closed_form import ClosedForm
from models.placement import REPLICATED, SHARDED
from models.table_optimizers import TABLE_OPTIMIZERS
from trainers.distributed import make_communicator
from trainers.verification import TOLERANCES, Case, Verifier

_TRAINED = [name for name, entry in MODELS.items() if not issubclass(entry.model, ClosedForm)]  # type: ignore[arg-type]

_MODELS = flags.DEFINE_list("models", _TRAINED, "Models to check.")
_OPTIMIZERS = flags.DEFINE_list(
    "table_optimizers", [], "Table optimizers to check; by default that of each model's recipe."
)
_PLACEMENTS = flags.DEFINE_list("placements", [REPLICATED, SHARDED], "Placements to check.")
_PRECISIONS = flags.DEFINE_list(
    "precisions", ["off"], "Types of the dense part to check: off, bfloat16, float16."
)
_WIRE = flags.DEFINE_enum(
    "wire_dtype", "float32", list(TOLERANCES), "Type in which vectors and gradients travel."
)
_XLA = flags.DEFINE_bool("xla", False, "Compile the dense part with XLA.")


def _cases() -> Iterator[Case]:
    _check("models", _MODELS.value, _TRAINED)
    _check("table_optimizers", _OPTIMIZERS.value, list(TABLE_OPTIMIZERS))
    for model in _MODELS.value:
        for optimizer in _OPTIMIZERS.value or [""]:
            for placement in _PLACEMENTS.value:
                for of_dense in _PRECISIONS.value:
                    yield Case(model, optimizer, placement, of_dense, _XLA.value)


def _check(flag: str, given: list[str], known: list[str]) -> None:
    unknown = sorted(set(given) - set(known))
    if unknown:
        raise InputError(
            f"--{flag} must name known ones", received=unknown, action=f"Known: {', '.join(known)}"
        )


def _synthetic(folder: Path) -> PreparedDataset:
    world = synthetic.SyntheticOptions(users=200, items=120, ratings=4_000, tastes=4, seed=3)
    prepare(synthetic.load(world), PrepareOptions(seed=3), folder)
    return PreparedDataset(folder)


def main(argv: list[str]) -> None:
    """Checks all cases."""
    no_argument(argv)
    logging.set_verbosity(logging.ERROR)
    faults: list[Any] = []
    try:
        cases = list(_cases())
        communicator = make_communicator(_WIRE.value)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(EXIT_BAD_INPUT)
    with tempfile.TemporaryDirectory() as folder:
        verifier = Verifier(_synthetic(Path(folder) / "data"), communicator, _WIRE.value)
        for case in cases:
            largest, fault = verifier.verify(case)
            faults += [fault] if fault else []
            if communicator.rank == 0:
                print(f"{case} {largest:9.2e}  {fault or 'agrees'}", flush=True)
    if communicator.rank == 0:
        what = f"{len(cases)} cases on {communicator.size} ranks"
        print(f"{what}: {len(faults)} differ" if faults else f"{what}: all agree with one rank")
    communicator.barrier()  # or a rank that ends with 1 stops the one that tells why
    sys.exit(bool(faults))


if __name__ == "__main__":
    app.run(main, flags_parser=parse_flags)
