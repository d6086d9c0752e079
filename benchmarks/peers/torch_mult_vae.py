"""Mult-VAE in PyTorch, with a dense matrix of a batch's users by all items as its input.

Liang et al., "Variational Autoencoders for Collaborative Filtering", WWW 2018. Run as
`python -m benchmarks.peers.torch_mult_vae TASK.json`.

Legend: B rows (users), I items without the ids below `FIRST_ID`, Z width of the latent vector.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.peers import torch_parts
from benchmarks.peers.timing import FIRST_ID

_DROPOUT = 0.5
_BETA_CAP = 0.2
_ANNEAL_STEPS = 10_000  # in which beta would reach 1


class MultVAE(nn.Module):
    """Mult-VAE.

    Args:
        items: How many items there are, I.
        hidden: Widths of the encoder's hidden layers; the decoder has them in reverse.
        latent: Width Z.
    """

    def __init__(self, items: int, hidden: Sequence[int], latent: int) -> None:
        super().__init__()
        self.encoder = _tanh_mlp((items, *hidden, 2 * latent))
        self.decoder = _tanh_mlp((latent, *reversed(hidden), items))

    def forward(self, taken: Tensor) -> tuple[Tensor, Tensor]:
        """Returns logits (B, I) and the KL divergence (B,) of zeros and ones (B, I)."""
        inputs = functional.dropout(functional.normalize(taken, dim=1), _DROPOUT, self.training)
        mean, log_variance = self.encoder(inputs).float().chunk(2, dim=1)
        noise = torch.randn_like(mean)
        logits = self.decoder(mean + noise * torch.exp(0.5 * log_variance))
        kl = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(dim=1)
        return logits, kl


def _tanh_mlp(widths: Sequence[int]) -> nn.Sequential:
    """Returns dense layers with tanh between them, not after the last."""
    sizes = itertools.pairwise(widths)
    layers = [layer for size in sizes for layer in (nn.Linear(*size), nn.Tanh())]
    return nn.Sequential(*layers[:-1])


def main(path: str) -> None:
    """Trains and prints the result."""
    task = torch_parts.start(path)
    histories = torch_parts.Histories(task)
    items = task.model["items"] - FIRST_ID
    model = MultVAE(items, task.model["hidden"], task.model["latent"])
    steps = itertools.count()

    def loss_of(users: Tensor) -> Tensor:
        rows, ids = histories.items_of(users)
        taken = torch.zeros(len(users), items)
        taken[rows, ids - FIRST_ID] = 1
        logits, kl = model(taken)
        log_likelihood = (functional.log_softmax(logits.float(), dim=1) * taken).sum(dim=1)
        beta = min(_BETA_CAP, next(steps) / _ANNEAL_STEPS)
        return (beta * kl - log_likelihood).mean()

    torch_parts.train(task, model, histories.users, loss_of)


if __name__ == "__main__":
    main(sys.argv[1])
