"""NeuMF in PyTorch, with negatives drawn anew for every batch and none of them a positive.

He et al., "Neural Collaborative Filtering", WWW 2017. Run as
`python -m benchmarks.peers.torch_neumf TASK.json`.

Legend: B rows (positives), C items of a row, the positive first.
"""

from __future__ import annotations

import sys
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.peers import torch_parts
from benchmarks.peers.timing import FIRST_ID


class NeuMF(nn.Module):
    """NeuMF.

    Args:
        sizes: `users` and `items`, the tables' rows; `gmf_dim` and `mlp_dim`, their widths;
            `hidden`, the widths of the MLP's layers.
        lookups: Examples of a step.
    """

    def __init__(self, sizes: dict[str, Any], lookups: int) -> None:
        super().__init__()

        def table(name: str, dim: int) -> nn.Embedding:
            rows = sizes[name]
            made = nn.Embedding(rows, dim, sparse=torch_parts.is_sparse(rows, lookups))
            nn.init.normal_(made.weight, std=0.01)
            return made

        gmf, mlp = sizes["gmf_dim"], sizes["mlp_dim"]
        self.gmf_users, self.gmf_items = table("users", gmf), table("items", gmf)
        self.mlp_users, self.mlp_items = table("users", mlp), table("items", mlp)
        self.mlp = torch_parts.mlp(2 * mlp, sizes["hidden"])
        self.output = nn.Linear(gmf + sizes["hidden"][-1], 1)

    def forward(self, users: Tensor, items: Tensor) -> Tensor:
        """Returns logits (B, C) of users (B,) and items (B, C)."""
        product = self.gmf_users(users).unsqueeze(1) * self.gmf_items(items)
        of_users = self.mlp_users(users).unsqueeze(1).expand(-1, items.shape[1], -1)
        hidden = self.mlp(torch.cat([of_users, self.mlp_items(items)], dim=2))
        return self.output(torch.cat([product, hidden], dim=2)).squeeze(2)


class Negatives:
    """Draws items uniformly, again where they are positives of their user.

    Args:
        users: Users of the positives, int64.
        items: Their items, int64.
        cardinality: Of the items, the ids below `FIRST_ID` included.
    """

    def __init__(self, users: Tensor, items: Tensor, cardinality: int) -> None:
        self._keys = (users * cardinality + items).sort().values
        self._cardinality = cardinality

    def __call__(self, users: Tensor) -> Tensor:
        """Returns an item for each of `users`, both of rank 1."""
        items = torch.randint(FIRST_ID, self._cardinality, users.shape)
        (again,) = self._are_positives(users, items).nonzero(as_tuple=True)
        while len(again):
            items[again] = torch.randint(FIRST_ID, self._cardinality, again.shape)
            again = again[self._are_positives(users[again], items[again])]
        return items

    def _are_positives(self, users: Tensor, items: Tensor) -> Tensor:
        keys = users * self._cardinality + items
        places = torch.searchsorted(self._keys, keys).clamp_(max=len(self._keys) - 1)
        return self._keys[places] == keys


def main(path: str) -> None:
    """Trains and prints the result."""
    task = torch_parts.start(path)
    users, items = (torch.from_numpy(task.array(name)).long() for name in ("users", "items"))
    negatives = task.model["negatives"]
    model = NeuMF(task.model, task.batch_size * (1 + negatives))
    draw = Negatives(users, items, task.model["items"])

    def loss_of(rows: Tensor) -> Tensor:
        of_rows, positives = users.index_select(0, rows), items.index_select(0, rows)
        drawn = draw(of_rows.repeat_interleave(negatives)).view(-1, negatives)
        candidates = torch.cat([positives.unsqueeze(1), drawn], dim=1)
        labels = torch.zeros(candidates.shape)
        labels[:, 0] = 1
        logits = model(of_rows, candidates)
        return functional.binary_cross_entropy_with_logits(logits.float(), labels)

    torch_parts.train(task, model, len(users), loss_of, 1 + negatives)


if __name__ == "__main__":
    main(sys.argv[1])
