"""DLRM in PyTorch, in the manner of facebookresearch/dlrm: EmbeddingBags and dot products.

Naumov et al., "Deep Learning Recommendation Model for Personalization and Recommendation Systems",
2019. Gradients of large tables are sparse. Run as
`python -m benchmarks.peers.torch_dlrm TASK.json`.

Legend: B rows, N numbers, F categories, D width of a vector.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.peers import torch_parts


class DLRM(nn.Module):
    """DLRM.

    Args:
        numbers: How many numbers a row has, N.
        cardinalities: Rows of each category's table.
        dim: Width of the vectors, D.
        bottom: Widths of the bottom MLP, the last of which is D.
        top: Widths of the top MLP's hidden layers.
        batch_size: Rows of a step, B.
    """

    def __init__(
        self,
        numbers: int,
        cardinalities: Sequence[int],
        dim: int,
        bottom: Sequence[int],
        top: Sequence[int],
        batch_size: int,
    ) -> None:
        super().__init__()
        self.tables = nn.ModuleList(
            nn.EmbeddingBag(rows, dim, mode="sum", sparse=torch_parts.is_sparse(rows, batch_size))
            for rows in cardinalities
        )
        for table, rows in zip(self.tables, cardinalities, strict=True):
            nn.init.uniform_(table.weight, -(rows**-0.5), rows**-0.5)  # as the authors do
        self.bottom = torch_parts.mlp(numbers, bottom)
        vectors = 1 + len(cardinalities)
        row, column = torch.tril_indices(vectors, vectors, offset=-1)
        self.register_buffer("pairs", row * vectors + column)
        self.top = torch_parts.mlp(dim + len(self.pairs), top)
        self.output = nn.Linear(top[-1], 1)

    def forward(self, numbers: Tensor, ids: Tensor) -> Tensor:
        """Returns logits (B,) from numbers (B, N) and ids (B, F)."""
        dense = self.bottom(numbers)
        bags = ids.t().unsqueeze(2).contiguous()  # (F, B, 1): bags of one
        vectors = [table(bag) for table, bag in zip(self.tables, bags, strict=True)]
        stacked = torch.stack([dense, *vectors], dim=1)  # (B, 1 + F, D)
        dots = torch.bmm(stacked, stacked.transpose(1, 2)).flatten(1)
        inputs = torch.cat([dense, dots.index_select(1, self.pairs)], dim=1)
        return self.output(self.top(inputs)).squeeze(1)


def main(path: str) -> None:
    """Trains and prints the result."""
    task = torch_parts.start(path)
    numbers, ids, labels = (
        torch.from_numpy(task.array(name)) for name in ("numbers", "ids", "labels")
    )
    sizes: dict[str, Any] = {k: task.model[k] for k in ("cardinalities", "dim", "bottom", "top")}
    model = DLRM(numbers.shape[1], **sizes, batch_size=task.batch_size)

    def loss_of(rows: Tensor) -> Tensor:
        logits = model(numbers.index_select(0, rows), ids.index_select(0, rows))
        return functional.binary_cross_entropy_with_logits(
            logits.float(), labels.index_select(0, rows)
        )

    torch_parts.train(task, model, len(labels), loss_of)


if __name__ == "__main__":
    main(sys.argv[1])
