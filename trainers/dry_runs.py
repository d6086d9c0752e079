"""Commands that train nothing: timing some steps, and planning memory."""

from __future__ import annotations

from pathlib import Path

from configs.base import RunConfig
from configs.registry import build_model
from data.dataset import PreparedDataset
from data.errors import InputError
from models.closed_form import ClosedForm
from models.communicator import Communicator
from trainers.benchmark import benchmark
from trainers.benchmark_report import report
from trainers.planning.plan import check_fits, make_plan
from trainers.precision import precision

_GIB = 2**30


def time_steps(
    config: RunConfig,
    data: PreparedDataset,
    steps: int,
    model_dir: str | None,
    communicator: Communicator,
) -> None:
    """Times some steps, prints what was found, and writes it into `model_dir` if there is one.

    Raises:
        InputError: The model is not trained by steps.
    """
    with precision(config.trainer.mixed_precision):
        model = build_model(config, data, communicator)
    if isinstance(model, ClosedForm):
        raise InputError(
            "--mode=benchmark times training steps",
            received=f"--model={config.model_name}, which is solved in one",
        )
    found = benchmark(config.trainer, data, model, communicator, steps)
    if communicator.rank == 0:
        print(report(found, Path(model_dir) if model_dir else None))


def print_plan(
    config: RunConfig, data: PreparedDataset, ranks: int, memory_gib: float | None
) -> None:
    """Prints the memory that a run needs.

    Raises:
        InputError: It does not fit, or the model is not trained by steps.
    """
    plan = make_plan(config, data, ranks)
    print(plan.table())
    check_fits(plan, None if memory_gib is None else round(memory_gib * _GIB))
