"""BERT4Rec in PyTorch: masked items of the last ones of each user, predicted among all items.

Sun et al., "BERT4Rec", CIKM 2019. Sequences are cut and padded once, before training; which items
are masked is drawn anew for every batch. Only masked slots reach the output layer, whose kernel is
the items' table. Run as `python -m benchmarks.peers.torch_bert4rec TASK.json`.

Legend: B rows (users), L slots, M masked slots of a batch, D width, H heads.
"""

from __future__ import annotations

import sys
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.peers import torch_parts
from benchmarks.peers.timing import FIRST_ID

_PAD_ID = 0
_WIDENING = 4  # of the feed-forward layers
_STDDEV = 0.02


class Block(nn.Module):
    """Attention and a feed-forward part, each with a residual and a normalisation after it."""

    def __init__(self, dim: int, heads: int, inner: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.query_key_value = nn.Linear(dim, 3 * dim)
        self.projection = nn.Linear(dim, dim)
        self.attention_norm = nn.LayerNorm(dim)
        self.feed_forward = nn.Sequential(nn.Linear(dim, inner), nn.GELU(), nn.Linear(inner, dim))
        self.norm = nn.LayerNorm(dim)
        self.dropout = nn.Dropout(dropout)

    def forward(self, inputs: Tensor, allowed: Tensor) -> Tensor:
        """Returns (B, L, D) from inputs (B, L, D) and the slots to look at, bool (B, 1, 1, L)."""
        by_head = self.query_key_value(inputs).unflatten(2, (3, self.heads, -1))
        query, key, value = by_head.permute(2, 0, 3, 1, 4)  # each (B, H, L, D / H)
        mixed = functional.scaled_dot_product_attention(query, key, value, attn_mask=allowed)
        mixed = self.projection(mixed.transpose(1, 2).flatten(2))
        hidden = self.attention_norm(inputs + self.dropout(mixed))
        return self.norm(hidden + self.dropout(self.feed_forward(hidden)))


class BERT4Rec(nn.Module):
    """BERT4Rec.

    Args:
        sizes: `items`, the ids; `dim`, `layers`, `heads` and `max_length`, the Transformer's;
            `dropout`, of activations.
    """

    def __init__(self, sizes: dict[str, Any]) -> None:
        super().__init__()
        dim = sizes["dim"]
        self.mask_id = sizes["items"]
        self.items = nn.Embedding(self.mask_id + 1, dim, padding_idx=_PAD_ID)
        self.slots = nn.Parameter(torch.empty(sizes["max_length"], dim))
        self.norm = nn.LayerNorm(dim)
        self.dropout = nn.Dropout(sizes["dropout"])
        self.blocks = nn.ModuleList(
            Block(dim, sizes["heads"], _WIDENING * dim, sizes["dropout"])
            for _ in range(sizes["layers"])
        )
        self.head = nn.Sequential(nn.Linear(dim, dim), nn.GELU(), nn.LayerNorm(dim))
        self.output_bias = nn.Parameter(torch.zeros(self.mask_id - FIRST_ID))
        for weight in self.parameters():
            if weight.dim() == 2:
                nn.init.trunc_normal_(weight, std=_STDDEV)

    def forward(self, sequences: Tensor, is_masked: Tensor) -> Tensor:
        """Returns logits of all items, (M, items), from ids and masked slots, both (B, L)."""
        hidden = self.dropout(self.norm(self.items(sequences) + self.slots))
        allowed = (sequences != _PAD_ID)[:, None, None, :]
        for block in self.blocks:
            hidden = block(hidden, allowed)
        output = self.head(hidden[is_masked])
        return functional.linear(
            output, self.items.weight[FIRST_ID : self.mask_id], self.output_bias
        )


def main(path: str) -> None:
    """Trains and prints the result."""
    task = torch_parts.start(path)
    sequences = torch_parts.Histories(task).last_items(task.model["max_length"])
    model, mask_share = BERT4Rec(task.model), task.model["mask_share"]

    def loss_of(users: Tensor) -> Tensor:
        ids = sequences.index_select(0, users)
        is_masked = (torch.rand(ids.shape) < mask_share) & (ids != _PAD_ID)
        logits = model(ids.masked_fill(is_masked, model.mask_id), is_masked)
        return functional.cross_entropy(logits.float(), ids[is_masked] - FIRST_ID)

    torch_parts.train(task, model, len(sequences), loss_of)


if __name__ == "__main__":
    main(sys.argv[1])
