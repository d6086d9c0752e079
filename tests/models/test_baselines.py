"""The closed-form baselines against a few lines of NumPy, and as runs."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import tensorflow as tf

from configs.base import RunConfig, TrainerConfig
from configs.registry import build_model, recipe
from configs.runs import CHECKPOINTS, load_run
from data.assemble import PrepareOptions, prepare
from data.dataset import PreparedDataset
from data.errors import InputError
from data.interactions import Interactions
from data.splits import SplitOptions
from models.closed_form import ClosedForm
from models.co_occurrence import read_interactions
from models.communicator import Communicator
from models.ease import EASE, EASEConfig, ease_weights
from models.item_knn import ItemKNN, ItemKNNConfig
from models.popularity import Popularity, PopularityConfig
from tests.commands import run_module
from trainers.closed_form import solve
from trainers.results import final_results
from trainers.run_folder import open_run_folder

BOTH = ("train", "validation")
REPOSITORY = Path(__file__).parents[2]


def matrix(data: PreparedDataset, splits: tuple[str, ...]) -> np.ndarray:
    """Returns X, 0 or 1, of shape (users, item cardinality)."""
    x = np.zeros((data.schema.cardinality("user"), data.schema.cardinality("item")))
    for split in splits:
        histories = data.read("histories", split)
        items: Any = histories["item"]
        x[np.repeat(np.asarray(histories["user"]), items.lengths), items.values] = 1.0
    x[:, :2] = 0.0
    return x


def seen(x: np.ndarray) -> tf.Tensor:
    return tf.ragged.constant([np.flatnonzero(row) for row in x], dtype=tf.int32).to_tensor()


@pytest.mark.parametrize("splits", [("train",), BOTH])
def test_ease_is_steck_s_equation_8(
    synthetic_data: PreparedDataset, splits: tuple[str, ...]
) -> None:
    model = EASE(EASEConfig(l2=30.0), synthetic_data)
    model.solve(synthetic_data, splits)
    x = matrix(synthetic_data, splits)
    p = np.linalg.inv(x.T @ x + 30.0 * np.eye(x.shape[1]))
    b = np.eye(x.shape[1]) - p @ np.diag(1 / np.diag(p))
    scores = model.item_scores({"seen_item": seen(x[2:20])})
    np.testing.assert_allclose(scores, x[2:20] @ b, atol=1e-5)
    assert (model.item_weights.numpy()[[0, 1]] == 0).all()


def test_ease_weights_are_the_least_loss_without_a_diagonal() -> None:
    x = np.random.default_rng(1).integers(0, 2, (30, 6)).astype(float)
    b = ease_weights(x.T @ x, 2.0)
    gradient = x.T @ (x @ b - x) + 2.0 * b
    assert np.diag(b).tolist() == [0.0] * 6
    np.testing.assert_allclose(gradient - np.diag(np.diag(gradient)), 0.0, atol=1e-9)


@pytest.mark.parametrize("splits", [("train",), BOTH])
def test_item_knn_sums_shrunk_cosines_of_nearest_neighbours(
    synthetic_data: PreparedDataset, splits: tuple[str, ...]
) -> None:
    model = ItemKNN(ItemKNNConfig(neighbours=7, shrinkage=3.0), synthetic_data)
    model.solve(synthetic_data, splits)
    x = matrix(synthetic_data, splits)
    norms = np.sqrt(x.sum(0))
    cosine = x.T @ x / (np.outer(norms, norms) + 3.0)
    np.fill_diagonal(cosine, 0.0)
    kept = np.zeros_like(cosine)
    for row, nearest in enumerate(np.argsort(-cosine, axis=1, kind="stable")[:, :7]):
        kept[row, nearest] = cosine[row, nearest]
    scores = model.item_scores({"seen_item": seen(x[2:20])})
    np.testing.assert_allclose(scores, x[2:20] @ kept, rtol=1e-5, atol=1e-6)
    assert model.neighbours.shape == model.similarities.shape == (x.shape[1], 7)


def test_padding_of_a_history_changes_no_score(synthetic_data: PreparedDataset) -> None:
    for model in (
        EASE(EASEConfig(), synthetic_data),
        ItemKNN(ItemKNNConfig(), synthetic_data),
        Popularity(PopularityConfig(), synthetic_data),
    ):
        model.solve(synthetic_data, ("train",))
        short = model.item_scores({"seen_item": tf.constant([[5, 9]])})
        long = model.item_scores({"seen_item": tf.constant([[5, 9, 0, 0]])})
        np.testing.assert_array_equal(short, long)


def test_an_empty_history_scores_nothing(synthetic_data: PreparedDataset) -> None:
    for model in (
        EASE(EASEConfig(), synthetic_data),
        ItemKNN(ItemKNNConfig(), synthetic_data),
    ):
        model.solve(synthetic_data, ("train",))
        assert not model.item_scores({"seen_item": tf.zeros([2, 3], tf.int32)}).numpy().any()


def test_ease_refuses_more_items_than_it_has_memory_for(synthetic_data: PreparedDataset) -> None:
    with pytest.raises(InputError, match=r"Received: \d+ items, which take .* GB") as error:
        EASE(EASEConfig(max_items=50), synthetic_data)
    items = synthetic_data.schema.cardinality("item") - 2
    assert f"--set=model.max_items={items}" in str(error.value)
    EASE(EASEConfig(max_items=items), synthetic_data)


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda: EASEConfig(l2=0.0), "l2"),
        (lambda: EASEConfig(l2=float("nan")), "l2"),
        (lambda: EASEConfig(max_items=0), "max_items"),
        (lambda: ItemKNNConfig(neighbours=0), "neighbours"),
        (lambda: ItemKNNConfig(shrinkage=-1.0), "shrinkage"),
    ],
)
def test_settings_out_of_range_are_refused(make: Callable[[], object], name: str) -> None:
    with pytest.raises(InputError, match=rf"model\.{name} must"):
        make()


def test_co_counts_are_x_transposed_x_whatever_the_blocks(
    synthetic_data: PreparedDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    x = matrix(synthetic_data, BOTH)
    interactions = read_interactions(synthetic_data, BOTH)
    for pairs, cells in ((4_000_000, 2_000_000), (1, 1), (5_000, 10_000)):
        monkeypatch.setattr("models.co_occurrence._PAIRS_AT_ONCE", pairs)
        monkeypatch.setattr("models.co_occurrence._CELLS_AT_ONCE", cells)
        blocks = list(interactions.co_counts())
        assert [start for start, _ in blocks] == list(
            np.cumsum([0, *(len(b) for _, b in blocks[:-1])])
        )
        np.testing.assert_array_equal(np.concatenate([b for _, b in blocks]), x.T @ x)


def test_held_out_users_are_users_of_their_own(tmp_path: Path) -> None:
    events = pl.DataFrame(
        {
            "user": [f"u{u}" for u in range(8) for _ in range(6)],
            "item": [f"i{(u + n) % 9}" for u in range(8) for n in range(6)],
        }
    )
    options = PrepareOptions(
        split=SplitOptions(method="held_out_users", validation_users=2, test_users=2)
    )
    prepare(Interactions("strong", events), options, tmp_path / "data")
    data = PreparedDataset(tmp_path / "data")
    trained, both = (read_interactions(data, splits) for splits in (("train",), BOTH))
    assert trained.item_counts().sum() == 4 * 6
    known = data.read("histories", "validation")
    lists: list[Any] = [known["item"], known["seen_item"]]
    sizes = sum(int(np.count_nonzero(each.values > 1)) for each in lists)
    assert both.item_counts().sum() == 4 * 6 + sizes
    per_user = np.diff(both.user_starts)
    assert np.count_nonzero(per_user) == 4 + 2


def solved(config: RunConfig, data: PreparedDataset, folder: Path) -> Mapping[str, Any]:
    """Trains as the command does. Returns the content of `metrics.json`."""
    communicator = Communicator()
    open_run_folder(folder, config, data, False)
    model = build_model(config, data)
    assert isinstance(model, ClosedForm)
    solve(config, data, model, folder, communicator)
    return final_results(load_run(folder), {}, communicator)


@pytest.mark.parametrize("fit_on", [("train",), BOTH])
def test_popularity_is_the_baseline_that_stands_beside_every_run(
    synthetic_data: PreparedDataset, tmp_path: Path, fit_on: tuple[str, ...]
) -> None:
    config = RunConfig("popularity", "tiny", PopularityConfig(), TrainerConfig(fit_on=fit_on))
    results = solved(config, synthetic_data, tmp_path / "run")
    assert results["metrics"] == results["baseline"]["metrics"]
    assert results["metrics"]["hr@10/full"] > 0
    assert results["parameters"] == synthetic_data.schema.cardinality("item")


@pytest.mark.parametrize("name", ["ease", "item_knn"])
def test_a_baseline_beats_popularity(
    name: str, synthetic_data: PreparedDataset, tmp_path: Path
) -> None:
    results = solved(recipe(name, "tiny"), synthetic_data, tmp_path / "run")
    for metric in ("ndcg@10/full", "ndcg@10/sampled99"):
        assert results["metrics"][metric] > 1.2 * results["baseline"]["metrics"][metric]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return run_module("trainers.run", *arguments)


def test_the_command_trains_resumes_and_evaluates(
    synthetic_data: PreparedDataset, tmp_path: Path
) -> None:
    given = ["--model=item_knn", "--recipe=tiny", f"--data_dir={synthetic_data.folder}"]
    given.append(f"--model_dir={tmp_path}")
    done = run(*given)
    assert done.returncode == 0, done.stderr
    first = json.loads((tmp_path / "metrics.json").read_text())
    assert json.loads((tmp_path / "best.json").read_text()) == {
        "checkpoint": "step-000000000",
        "chosen_by": "closed form",
    }
    assert first["timings"]["steps"] == 0
    evaluated = run("--mode=evaluate", f"--model_dir={tmp_path}")
    *table, following, _ = done.stdout.splitlines()
    assert following.startswith("Next: ")
    assert evaluated.stdout.splitlines()[1:] == table[1:]
    # As if it had been killed before the evaluation, or while it wrote the checkpoint.
    (tmp_path / "metrics.json").unlink()
    shutil.rmtree(tmp_path / CHECKPOINTS / "step-000000000")
    (tmp_path / CHECKPOINTS / ".step-000000000.partial-x").mkdir()
    assert run(*given).returncode == 0
    again = json.loads((tmp_path / "metrics.json").read_text())
    assert again["metrics"] == first["metrics"]
    finished = run(*given)
    assert finished.returncode == 2
    assert "must not hold a finished run" in finished.stderr
