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
from trainers.planning.network import Network, collectives, network_table
from trainers.planning.plan import check_fits, make_plan
from trainers.planning.unallocated import trace
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
    config: RunConfig,
    data: PreparedDataset,
    ranks: int,
    memory_gib: float | None,
    network: str | None = None,
    step_ms: float | None = None,
) -> None:
    """Prints the memory that a run needs, and what its ranks send each other.

    Args:
        config: The run.
        data: The prepared dataset.
        ranks: Number of ranks.
        memory_gib: What they may take together; None for what is available here.
        network: What connects them, as `Network.parse` reads it; None leaves that out.
        step_ms: Time of a step on one device, to predict the speed by.

    Raises:
        InputError: It does not fit, or the model is not trained by steps.
    """
    connected = Network.parse(network) if network else None
    plan = make_plan(config, data, ranks)
    print(plan.table())
    if connected and ranks > 1:
        traced = trace(config, data, ranks)
        found = collectives(traced.model, traced.unique_rows(), config.trainer, ranks)
        seconds = step_ms / 1e3 if step_ms else None
        print(network_table(found, connected, config.trainer.batch_size, seconds, ranks))
    check_fits(plan, None if memory_gib is None else round(memory_gib * _GIB))
