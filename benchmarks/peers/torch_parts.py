"""What the PyTorch peers share: layers, optimizers and the training loop.

Tables that fit are kept in memory as tensors; a batch is an `index_select` of rows in random order,
which is faster than a DataLoader's workers.

Legend: B rows of a batch.
"""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor, nn

from benchmarks.peers import timing
from benchmarks.peers.timing import Optimizer, Task

_DENSE = {"adam": torch.optim.Adam, "adagrad": torch.optim.Adagrad, "sgd": torch.optim.SGD}
_SPARSE = {"adam": torch.optim.SparseAdam, "adagrad": torch.optim.Adagrad, "sgd": torch.optim.SGD}
_SPARSE_FROM = 8


def start(path: str) -> Task:
    """Returns the task of a file; sets PyTorch's threads and seed as it says."""
    task = timing.read_task(path)
    torch.set_num_threads(task.threads)
    torch.manual_seed(task.seed)
    return task


def mlp(inputs: int, widths: Sequence[int]) -> nn.Sequential:
    """Returns dense layers, each followed by a ReLU."""
    sizes = itertools.pairwise((inputs, *widths))
    return nn.Sequential(*(layer for size in sizes for layer in (nn.Linear(*size), nn.ReLU())))


def is_sparse(rows: int, lookups: int) -> bool:
    """Returns whether a table is trained faster by sparse gradients, given a step's lookups.

    Measured: below 8 to 20 rows a lookup, a fused optimizer that passes over the whole table is
    faster than gathering the batch's rows, by up to three times.
    """
    return rows > _SPARSE_FROM * lookups


def make_optimizers(model: nn.Module, settings: Optimizer) -> list[torch.optim.Optimizer]:
    """Returns the optimizers of dense weights, and of tables with dense and sparse gradients."""
    tables: dict[bool, list[nn.Parameter]] = {False: [], True: []}
    for module in model.modules():
        if isinstance(module, nn.Embedding | nn.EmbeddingBag):
            tables[module.sparse].append(module.weight)
    ids = {id(table) for table in (*tables[False], *tables[True])}
    dense = [weight for weight in model.parameters() if id(weight) not in ids]
    optimizers = [_DENSE[settings.dense](dense, lr=settings.dense_rate, fused=True)]
    if tables[False]:
        kind, rate = _DENSE[settings.tables], settings.table_rate
        optimizers.append(kind(tables[False], lr=rate, fused=True))
    if tables[True]:
        optimizers.append(_SPARSE[settings.tables](tables[True], lr=settings.table_rate))
    return optimizers


def train(
    task: Task, model: nn.Module, rows: int, loss_of: Callable[[Tensor], Tensor], per_row: int = 1
) -> None:
    """Trains by batches of random rows and prints the result.

    Args:
        task: The task.
        model: The model.
        rows: Rows of the table.
        loss_of: Returns the loss of some rows, int64 of shape (B,); getting them is part of it.
        per_row: Examples of a row.
    """
    model.train()
    optimizers = make_optimizers(model, task.optimizer)
    is_half = task.precision == "bfloat16"

    def train_on(batch: Tensor) -> float:
        for optimizer in optimizers:
            optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=is_half):
            loss = loss_of(batch)
        loss.backward()
        for optimizer in optimizers:
            optimizer.step()
        return loss.item()

    if task.epoch:
        measured = timing.measure(
            task,
            lambda: statistics.fmean(map(train_on, torch.randperm(rows).split(task.batch_size))),
        )
        examples = rows * per_row
    else:
        batches = _full_batches(rows, task.batch_size)
        measured = timing.measure(task, lambda: train_on(next(batches)))
        examples = task.batch_size * per_row
    timing.print_result(task, measured, examples, ("torch", "numpy"))


def _full_batches(rows: int, size: int) -> Iterator[Tensor]:
    """Yields batches of `size` rows, epoch after epoch, each in a new order."""
    while True:
        order = torch.randperm(rows)
        yield from order[: rows - rows % size].split(size)


class Histories:
    """The items of each user, in memory.

    Args:
        task: A task on `histories`.
    """

    def __init__(self, task: Task) -> None:
        self._items = torch.from_numpy(task.array("history_items")).long()
        offsets = torch.from_numpy(task.array("history_offsets"))
        self._starts, self._lengths = offsets[:-1], offsets.diff()
        self.users = len(self._starts)

    def items_of(self, users: Tensor) -> tuple[Tensor, Tensor]:
        """Returns places in `users`, int64 of shape (B,), and items that stand for pairs."""
        lengths = self._lengths[users]
        rows = torch.repeat_interleave(lengths)
        ends = lengths.cumsum(0)
        within = torch.arange(len(rows)) - (ends - lengths)[rows]
        return rows, self._items[self._starts[users][rows] + within]

    def last_items(self, length: int) -> Tensor:
        """Returns the last items of all users, (users, length), with 0 before shorter ones."""
        places = torch.arange(-length, 0) + (self._starts + self._lengths).unsqueeze(1)
        found = self._items[places.clamp(min=0)]
        return found.masked_fill(places < self._starts.unsqueeze(1), 0)
