"""The PyTorch peers, where PyTorch is installed: sizes, sparse updates, draws and learning."""

from __future__ import annotations

import importlib
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.peers.timing import FIRST_ID, Optimizer
from tests.benchmarks.tasks import CARDINALITY, DLRM, write_clicks, write_task

torch = pytest.importorskip("torch")
torch_bert4rec, torch_dlrm, torch_mult_vae, torch_neumf, torch_parts = (
    importlib.import_module(f"benchmarks.peers.torch_{name}")
    for name in ("bert4rec", "dlrm", "mult_vae", "neumf", "parts")
)

USERS, ITEMS = 60, 30
NEUMF: dict[str, Any] = {
    "gmf_dim": 8,
    "mlp_dim": 4,
    "hidden": [8, 4],
    "negatives": 2,
    "users": USERS + FIRST_ID,
    "items": ITEMS + FIRST_ID,
}
BERT4REC: dict[str, Any] = {
    "dim": 16,
    "layers": 2,
    "heads": 2,
    "max_length": 8,
    "mask_share": 0.3,
    "dropout": 0.0,
    "items": ITEMS + FIRST_ID,
}
MULT_VAE: dict[str, Any] = {"hidden": [16], "latent": 4, "items": ITEMS + FIRST_ID}
ADAM = {"dense": "adam", "dense_rate": 0.01, "tables": "adam", "table_rate": 0.01}


def parameters(model: Any) -> int:
    """Returns how many numbers a model learns."""
    return sum(weight.numel() for weight in model.parameters())


@pytest.fixture
def histories(tmp_path: Path) -> Path:
    """Returns a folder of users who take ten items each, every third one from some first."""
    starts = np.arange(USERS)[:, None] + 3 * np.arange(10)
    np.save(tmp_path / "history_items.npy", (starts % ITEMS + FIRST_ID).astype(np.int32).ravel())
    np.save(tmp_path / "history_offsets.npy", 10 * np.arange(USERS + 1))
    np.save(tmp_path / "users.npy", np.repeat(np.arange(USERS), 10).astype(np.int32) + FIRST_ID)
    np.save(tmp_path / "items.npy", np.load(tmp_path / "history_items.npy"))
    return tmp_path


def test_models_have_the_sizes_they_should() -> None:
    sizes = {key: DLRM[key] for key in ("cardinalities", "dim", "bottom", "top")}
    bottom, top = 2 * 8 + 8 + 8 * 4 + 4, (4 + 6) * 16 + 16 + 16 + 1
    model = torch_dlrm.DLRM(2, **sizes, batch_size=10)
    assert parameters(model) == 3 * CARDINALITY * 4 + bottom + top
    tables = (USERS + ITEMS + 2 * FIRST_ID) * 12
    assert parameters(torch_neumf.NeuMF(NEUMF, 10)) == tables + 72 + 36 + 13
    encoder, decoder = ITEMS * 16 + 16 + 16 * 8 + 8, 4 * 16 + 16 + 16 * ITEMS + ITEMS
    assert parameters(torch_mult_vae.MultVAE(ITEMS, [16], 4)) == encoder + decoder
    block = 4 * (16 * 16 + 16) + 2 * 16 * 64 + 64 + 16 + 4 * 16
    rest = (ITEMS + FIRST_ID + 1) * 16 + 8 * 16 + 32 + (16 * 16 + 16 + 32) + ITEMS
    assert parameters(torch_bert4rec.BERT4Rec(BERT4REC)) == 2 * block + rest


@pytest.mark.parametrize("batch_size", [2, 1000])  # sparse gradients, dense ones
def test_only_rows_of_the_batch_change(batch_size: int) -> None:
    model = torch_dlrm.DLRM(2, [CARDINALITY], 4, [4], [8], batch_size)
    assert model.tables[0].sparse == (batch_size == 2)
    before = model.tables[0].weight.detach().clone()
    optimizers = torch_parts.make_optimizers(model, Optimizer("adam", 0.01, "adagrad", 0.1))
    model(torch.ones(2, 2), torch.tensor([[5], [7]])).sum().backward()
    for optimizer in optimizers:
        optimizer.step()
    changed = (model.tables[0].weight != before).any(dim=1).nonzero().flatten().tolist()
    assert changed == [5, 7]


def test_negatives_are_no_positives() -> None:
    users = torch.tensor([2] * 27 + [3])
    items = torch.tensor([*range(FIRST_ID, 29), 5])
    draw = torch_neumf.Negatives(users, items, cardinality=ITEMS)
    assert set(draw(torch.full((500,), 2)).tolist()) == {29}
    assert set(draw(torch.full((2000,), 3)).tolist()) == set(range(FIRST_ID, ITEMS)) - {5}


def test_histories_are_cut_and_listed(tmp_path: Path) -> None:
    np.save(tmp_path / "history_items.npy", np.array([5, 6, 7, 8], np.int32))
    np.save(tmp_path / "history_offsets.npy", np.array([0, 1, 1, 4]))
    path = write_task(tmp_path, kind="histories", model=MULT_VAE)
    histories = torch_parts.Histories(torch_parts.start(str(path)))
    assert histories.last_items(2).tolist() == [[0, 5], [0, 0], [7, 8]]
    rows, items = histories.items_of(torch.tensor([2, 1, 0]))
    assert rows.tolist() == [0, 0, 0, 2]
    assert items.tolist() == [6, 7, 8, 5]


def test_dlrm_learns(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_clicks(tmp_path)
    torch_dlrm.main(str(write_task(tmp_path)))
    result = json.loads(capsys.readouterr().out)
    assert result["loss"] < 0.5 < math.log(2)
    assert result["examples_per_step"] == 100


@pytest.mark.parametrize(
    ("program", "kind", "model", "examples", "least"),
    [
        (torch_neumf, "interactions", NEUMF, USERS * 10 * 3, 0.6),
        (torch_bert4rec, "histories", BERT4REC, USERS, math.log(12)),
        (torch_mult_vae, "histories", MULT_VAE, USERS, 10 * math.log(12)),
    ],
)
def test_the_others_learn(
    histories: Path,
    capsys: pytest.CaptureFixture[str],
    program: Any,
    kind: str,
    model: dict[str, Any],
    examples: int,
    least: float,
) -> None:
    # A user's items are one of three thirds of all, so that knowing which leaves ten.
    changes = {"kind": kind, "model": model, "optimizer": ADAM, "epoch": True, "steps": 200}
    program.main(str(write_task(histories, **changes)))
    result = json.loads(capsys.readouterr().out)
    assert result["loss"] < least
    assert result["examples_per_step"] == examples
