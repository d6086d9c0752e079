"""Every model's `tiny` recipe reaches a stated share of the best reachable score."""

from __future__ import annotations

from pathlib import Path

import pytest

from configs.registry import MODELS, build_model, recipe
from configs.runs import TrainedRun, best_checkpoint
from data.dataset import PreparedDataset
from models.closed_form import ClosedForm
from models.communicator import Communicator
from models.saving import load_weights
from trainers.closed_form import solve
from trainers.loop import Trainer
from trainers.results import final_results

METRIC = "ndcg@10/sampled99"
# Of the best reachable score of the synthetic world. Popularity knows nothing of the user and has
# .44 of it; 400 users are few for a Transformer. A new model has to pass the share of the others.
SHARES = {"popularity": 0.4, "bert4rec": 0.5}
SHARE = 0.65


# NCF's is trained by the command, in test_run.py.
@pytest.mark.parametrize("name", sorted(set(MODELS) - {"ncf"}))
def test_tiny_recipe_reaches_its_share(
    name: str, synthetic_data: PreparedDataset, tmp_path: Path
) -> None:
    config, alone = recipe(name, "tiny"), Communicator()
    model = build_model(config, synthetic_data)
    if isinstance(model, ClosedForm):
        solve(config, synthetic_data, model, tmp_path, alone)
    else:
        Trainer(config, synthetic_data, model, tmp_path, alone).train()
    best = best_checkpoint(tmp_path)
    trained = build_model(config, synthetic_data)
    load_weights(trained, best)
    run = TrainedRun(tmp_path, config, synthetic_data, trained, 0)
    results = final_results(run, {}, alone)
    share = results["metrics"][METRIC] / results["best_reachable"][METRIC]
    assert share > SHARES.get(name, SHARE)
