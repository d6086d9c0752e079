"""`--plan`: the memory that training will take, told before anything is allocated.

The model is built and its step traced with variables that have no memory, so shapes, and not a list
of models, say what each part takes:

    process      what it holds once that is done: code, attributes, positives
    tables       values and optimizer slots, rows times width
    dense        weights and optimizer slots
    step         tensors that are alive at once in the graph of a step
    input        blocks, windows and batches of the pipeline
    drawing      initial values of a table, a chunk at a time

They are added up though they are not all needed at once, for the process keeps what it frees
(`trainers.allocator`) and each of its threads reuses what it has freed itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import tensorflow as tf

from configs.base import RunConfig
from data.dataset import PreparedDataset
from data.errors import InputError
from data.process_memory import available_bytes
from models.recommender import Recommender
from models.table_stack import INIT_CHUNK, TableStack
from trainers.planning.input_memory import InputMemory
from trainers.planning.live_memory import live_bytes
from trainers.planning.open_shapes import OpenSizes
from trainers.planning.report import plan_table
from trainers.planning.savings import Saving, savings, size_text
from trainers.planning.unallocated import Traced, resident_bytes, trace

# Operations run side by side, in another order than the one counted, and allocators leave gaps:
# one number for all models, from what five of them were seen to take.
_STEP_FACTOR = 2.0
_FIRST_USE_BYTES = 40 * 2**20  # kernels and threads are made when first used; measured
_COMPILER_BYTES = 150 * 2**20  # that XLA takes to compile a step, whatever the model; measured
_DRAWING_STAGES = 3  # the normal values, those scaled, those shifted: each a chunk


@dataclass(frozen=True)
class TableMemory:
    """Bytes of one embedding table.

    Attributes:
        name: Name of the table.
        rows: Its rows, of all ranks.
        dim: Its width.
        dtype: Type of its values.
        values: Bytes of its values that a rank holds.
        slots: Bytes of its optimizer's slots that a rank holds.
        shards: In how many parts it is held.
        reason: Why so.
    """

    name: str
    rows: int
    dim: int
    dtype: str
    values: int
    slots: int
    shards: int = 1
    reason: str = ""


@dataclass(frozen=True)
class Plan:
    """Bytes that training takes, of each rank.

    Attributes:
        model: Name of the model.
        ranks: Ranks on this machine.
        tables: The embedding tables.
        dense: Dense weights.
        dense_slots: Their optimizer's slots.
        step: Activations and temporaries of a step.
        input: Buffers of the input pipeline.
        drawing: Temporaries of drawing the initial values.
        process: The process itself.
        savings: What each knob would save, on all ranks together, most first.
    """

    model: str
    ranks: int
    tables: tuple[TableMemory, ...]
    dense: int
    dense_slots: int
    step: int
    input: int
    drawing: int
    process: int
    savings: tuple[Saving, ...] = ()

    @property
    def rank_bytes(self) -> int:
        """Bytes of a rank."""
        of_tables = sum(table.values + table.slots for table in self.tables)
        of_dense = self.dense + self.dense_slots
        return of_tables + of_dense + self.step + self.input + self.drawing + self.process

    @property
    def total_bytes(self) -> int:
        """Bytes of all ranks."""
        return self.ranks * self.rank_bytes

    def table(self) -> str:
        """Returns the plan as a table for people."""
        return plan_table(self)


def make_plan(config: RunConfig, data: PreparedDataset, ranks: int = 1) -> Plan:
    """Predicts the memory of a run.

    Args:
        config: The run.
        data: The prepared dataset.
        ranks: Processes on this machine.

    Raises:
        InputError: The model is not trained by steps, or there is no rank.
    """
    if ranks < 1:
        raise InputError("--ranks must be at least 1", received=ranks)
    traced = trace(config, data, ranks)
    stacks = traced.model.tables.stacks
    inputs = InputMemory(data, traced.reading, traced.batch, ranks)
    dense, dense_slots = _dense_bytes(traced.model)
    step = _step_bytes(traced, inputs.filled)
    plan = Plan(
        model=config.model_name,
        ranks=ranks,
        tables=tuple(table for stack in stacks for table in _tables_of(stack, traced.model)),
        dense=dense,
        dense_slots=dense_slots,
        step=step,
        input=inputs.bytes(),
        drawing=_drawing_bytes(stacks, traced.read_bytes),
        process=resident_bytes() + _FIRST_USE_BYTES + config.trainer.xla * _COMPILER_BYTES,
    )
    return replace(plan, savings=savings(plan, config, stacks))


def check_fits(plan: Plan, memory_bytes: int | None = None) -> None:
    """Refuses a plan that needs more than there is.

    Args:
        plan: The plan.
        memory_bytes: Memory that may be taken; None for what the machine has available.

    Raises:
        InputError: It does not fit; says by how much and what would help.
    """
    have = available_bytes() if memory_bytes is None else memory_bytes
    missing = plan.total_bytes - have
    if missing <= 0:
        return
    knobs = [f"{saving.knob} saves {size_text(saving.bytes)}" for saving in plan.savings]
    raise InputError(
        "A run must fit into memory",
        received=f"a plan of {size_text(plan.total_bytes)} for {plan.ranks} rank(s) of "
        f"{plan.model}, which is {size_text(missing)} more than the {size_text(have)} there are",
        action="These help, each alone: " + "; ".join(knobs) if knobs else "No setting helps much",
    )


def _tables_of(stack: TableStack, model: Recommender) -> list[TableMemory]:
    return [
        TableMemory(
            table.name,
            table.rows,
            stack.dim,
            stack.dtype.name,
            values=-(-table.rows // stack.shards) * stack.row_bytes,
            slots=-(-table.rows // stack.shards) * stack.slot_row_bytes,
            shards=stack.shards,
            reason=model.tables.placements[table.name][1],
        )
        for table in stack.tables
    ]


def _dense_bytes(model: Recommender) -> tuple[int, int]:
    """Returns the bytes of the dense weights and of their optimizer's slots."""
    weights, slots = (
        sum(v.shape.num_elements() * v.dtype.size for v in variables)
        for variables in (model.trainable_variables, model.optimizer.variables)
    )
    return weights, slots


def _step_bytes(traced: Traced, filled: float) -> int:
    largest = max((stack.rows for stack in traced.model.tables.stacks), default=1)
    return round(_STEP_FACTOR * live_bytes(traced.graph, OpenSizes(filled, largest)))


def _drawing_bytes(stacks: Sequence[TableStack], reused: int) -> int:
    """Returns the temporaries of the largest chunk, less what reading the dataset then reuses."""
    most = 0
    for stack in stacks:
        rows = min(max(table.rows for table in stack.tables), INIT_CHUNK)
        chunk = (_DRAWING_STAGES + 2) * rows  # two results: this chunk's, and the last one's
        most = max(most, chunk * stack.dim * tf.float32.size)
    return max(most - max(reused, 0), 0)
