"""NeuMF, MultiVAE and BERT4Rec of RecBole, by its own dataset, loaders and trainer.

All of a table trains; nothing is evaluated. RecBole's default of loading batches in the training
process is kept, its progress bar is not. One optimizer, `optimizer.dense`, trains all weights, none
of them by sparse gradients. Run as `python -m benchmarks.peers.recbole_models TASK.json`.

What RecBole does otherwise than the papers, and so otherwise than the other peers:

* Ids that do not occur have no rows in its tables.
* MultiVAE calls the width of mean and log variance together its latent dimension, draws noise of
  standard deviation 0.01, and counts the padding user, who has no items, to its users.
* BERT4Rec's dataset is augmented: a history of n items makes n - 1 rows, the items before each item
  but the first, and the item itself stays unused. Each row is masked anew when it is loaded, or its
  last item alone is (in `ft_ratio` of the batches, here none, as the other peers do not). A row is
  an example. Its attention dropout is set to none, as in the other peers.
"""

from __future__ import annotations

import itertools
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from recbole.config import Config
from recbole.data import create_dataset
from recbole.data.dataloader import AbstractDataLoader
from recbole.data.interaction import Interaction
from recbole.data.utils import create_samplers, get_dataloader
from recbole.trainer import Trainer
from recbole.utils import get_model, get_trainer, init_seed
from torch import Tensor

from benchmarks.peers import timing, torch_parts
from benchmarks.peers.timing import Measured, Task

_NAME = "task"
_DROPOUT, _BETA_CAP, _ANNEAL_STEPS = 0.5, 0.2, 10_000  # as of torch_mult_vae


def write_table(task: Task, folder: Path) -> None:
    """Writes the task's interactions as RecBole reads them, in the order of time."""
    (folder / _NAME).mkdir()
    if task.kind == "interactions":
        users, items = task.array("users"), task.array("items")
    else:
        items = task.array("history_items")
        lengths = np.diff(task.array("history_offsets"))
        users = np.repeat(np.arange(len(lengths)), lengths)
    np.savetxt(
        folder / _NAME / f"{_NAME}.inter",
        np.stack([users, items, np.arange(len(users))], axis=1),
        fmt="%d",
        delimiter="\t",
        header="user_id:token\titem_id:token\ttimestamp:float",
        comments="",
    )


def settings(task: Task, folder: Path) -> dict[str, Any]:
    """Returns RecBole's settings."""
    sizes, order = task.model, "TO" if task.model["architecture"] == "BERT4Rec" else "RO"
    columns = ["user_id", "item_id", *(["timestamp"] if order == "TO" else [])]
    split = {"split": {"RS": [1, 0, 0]}, "group_by": "none", "order": order, "mode": "full"}
    common = {
        "data_path": str(folder),
        "checkpoint_dir": str(folder),
        "load_col": {"inter": columns},
        "eval_args": split,
        "use_gpu": False,
        "seed": task.seed,
        "train_batch_size": task.batch_size,
        "learner": task.optimizer.dense,
        "learning_rate": task.optimizer.dense_rate,
        "enable_amp": task.precision == "bfloat16",
        "train_neg_sample_args": None,
    }
    of_models = {"NeuMF": _neumf, "MultiVAE": _multi_vae, "BERT4Rec": _bert4rec}
    return {**common, **of_models[sizes["architecture"]](task)}


def _neumf(task: Task) -> dict[str, Any]:
    sizes = task.model
    return {
        "mf_embedding_size": sizes["gmf_dim"],
        "mlp_embedding_size": sizes["mlp_dim"],
        "mlp_hidden_size": sizes["hidden"],
        "dropout_prob": 0.0,
        "train_neg_sample_args": {
            "distribution": "uniform",
            "sample_num": sizes["negatives"],
            "alpha": 1.0,
            "dynamic": False,
            "candidate_num": 0,
        },
        # RecBole counts the negatives too.
        "train_batch_size": task.batch_size * (1 + sizes["negatives"]),
    }


def _multi_vae(task: Task) -> dict[str, Any]:
    return {
        "mlp_hidden_size": task.model["hidden"],
        "latent_dimension": 2 * task.model["latent"],
        "dropout_prob": _DROPOUT,
        "anneal_cap": _BETA_CAP,
        "total_anneal_steps": _ANNEAL_STEPS,
    }


def _bert4rec(task: Task) -> dict[str, Any]:
    sizes = task.model
    return {
        "hidden_size": sizes["dim"],
        "n_layers": sizes["layers"],
        "n_heads": sizes["heads"],
        "inner_size": 4 * sizes["dim"],
        "MAX_ITEM_LIST_LENGTH": sizes["max_length"],
        "mask_ratio": sizes["mask_share"],
        "ft_ratio": 0.0,
        "hidden_dropout_prob": sizes["dropout"],
        "attn_dropout_prob": 0.0,
        "loss_type": "CE",
    }


def make_trainer(task: Task, folder: Path) -> tuple[Trainer, AbstractDataLoader]:
    """Returns RecBole's trainer and what loads the batches, as its quick start makes them."""
    name = task.model["architecture"]
    config = Config(name, _NAME, config_dict=settings(task, folder))
    init_seed(config["seed"], config["reproducibility"])
    dataset = create_dataset(config)
    built = dataset.build()
    sampler, _, _ = create_samplers(config, dataset, built)
    loader = get_dataloader(config, "train")(config, built[0], sampler, shuffle=True)
    model = get_model(name)(config, built[0])
    return get_trainer(config["MODEL_TYPE"], name)(config, model), loader


def time_epochs(task: Task, trainer: Trainer, loader: AbstractDataLoader) -> Measured:
    """Times whole epochs."""
    return timing.measure(task, lambda: trainer._train_epoch(loader, 0) / len(loader))


def time_steps(task: Task, trainer: Trainer, loader: AbstractDataLoader) -> Measured:
    """Times single steps of RecBole's epoch: from one asking for a batch to the next."""
    asked: list[float] = []
    losses: list[Tensor] = []

    def batches() -> Iterator[Interaction]:
        endless = itertools.chain.from_iterable(itertools.repeat(loader))
        asked.append(time.perf_counter())
        for batch in itertools.islice(endless, task.warmup + task.steps):
            yield batch
            asked.append(time.perf_counter())

    def loss_of(batch: Interaction) -> Tensor:
        loss = trainer.model.calculate_loss(batch)
        losses.append(loss.detach())
        return loss

    trainer._train_epoch(batches(), 0, loss_of)
    values = [loss.item() for loss in losses[task.warmup :]]
    return Measured(np.diff(asked)[task.warmup :].tolist(), values)


def main(path: str) -> None:
    """Trains and prints the result."""
    task = torch_parts.start(path)
    per_row = 1 + task.model.get("negatives", 0)
    started_in = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)  # where RecBole leaves its logs
        write_table(task, Path(folder))
        trainer, loader = make_trainer(task, Path(folder))
        if task.epoch:
            measured, rows = time_epochs(task, trainer, loader), loader.sample_size
        else:
            measured, rows = time_steps(task, trainer, loader), task.batch_size
        os.chdir(started_in)
    timing.print_result(task, measured, rows * per_row, ("recbole", "torch", "numpy"))


if __name__ == "__main__":
    main(sys.argv[1])
