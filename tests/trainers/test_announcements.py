"""What a run says of itself, to whoever reads the terminal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from configs.overrides import apply_overrides
from configs.registry import build_model, recipe
from configs.runs import TrainedRun
from data.dataset import PreparedDataset
from trainers.announcements import below_baseline, next_commands, what_is_trained


def trained(data: PreparedDataset, model: str, *changes: str) -> TrainedRun:
    config = apply_overrides(recipe(model, "tiny"), changes)
    return TrainedRun(Path("RUN"), config, data, build_model(config, data), 1)


def results(metric: str, ours: float | None, theirs: float | None) -> dict[str, Any]:
    return {
        "metrics": {metric: ours},
        "baseline": {"name": "popularity", "metrics": {metric: theirs}},
    }


def test_a_run_below_the_baseline_is_told_what_to_check(synthetic_data: PreparedDataset) -> None:
    run = trained(synthetic_data, "ncf")
    said = below_baseline(run, results("ndcg@10/sampled99", 0.0066, 0.1093))
    assert said is not None
    assert said.count("\n") == 0
    assert said.startswith(
        "WARNING: ndcg@10/sampled99 0.0066 is worse than 0.1093 of the popularity baseline. Check "
        "that recipe tiny suits this data, trainer.learning_rate, trainer.epochs, model.negatives"
    )
    assert said.endswith(f"python -m data.inspect {synthetic_data.folder}")
    run = trained(synthetic_data, "ease", "trainer.monitor=ndcg@10/full")
    said = below_baseline(run, results("ndcg@10/full", 0.01, 0.02))
    assert said is not None
    assert "negatives" not in said


@pytest.mark.parametrize(
    ("model", "monitor", "metric", "ours", "theirs"),
    [
        ("ncf", "auto", "ndcg@10/sampled99", 0.3, 0.2),
        ("ncf", "auto", "ndcg@10/sampled99", 0.2, 0.2),
        ("ncf", "auto", "ndcg@10/sampled99", None, 0.2),
        ("ncf", "auto", "ndcg@5/sampled99", 0.1, 0.2),  # is not what was monitored
        ("ncf", "logloss", "logloss", 0.1, 0.2),  # is the better, the lower it is
        ("popularity", "auto", "ndcg@10/sampled99", 0.1, 0.2),
    ],
)
def test_other_runs_are_told_nothing(
    synthetic_data: PreparedDataset,
    model: str,
    monitor: str,
    metric: str,
    ours: float | None,
    theirs: float | None,
) -> None:
    run = trained(synthetic_data, model, f"trainer.monitor={monitor}")
    assert below_baseline(run, results(metric, ours, theirs)) is None


def test_a_run_is_announced_with_what_is_not_its_recipes(synthetic_data: PreparedDataset) -> None:
    folder, config = Path("RUNS/ncf"), recipe("ncf", "tiny")
    first, *more = what_is_trained(config, synthetic_data, folder).splitlines()
    where = f"on {synthetic_data.schema.name} in {synthetic_data.folder}"
    assert first == f"ncf, recipe tiny, {where}; all settings in RUNS/ncf/config.json"
    assert more == []
    changed = apply_overrides(config, ["model.hidden=8,4", "trainer.seed=3", "evaluation.ks=10"])
    (_, second) = what_is_trained(changed, synthetic_data, folder).splitlines()
    assert second == ("  other than recipe tiny: model.hidden=8,4 trainer.seed=3 evaluation.ks=10")


def test_a_recipe_of_a_file_is_compared_with_the_default(
    synthetic_data: PreparedDataset, tmp_path: Path
) -> None:
    path = tmp_path / "best.yaml"
    path.write_text("model: ease\nrecipe: default\nset:\n  model.l2: 318.25\n")
    said = what_is_trained(recipe("ease", str(path)), synthetic_data, tmp_path)
    assert said.splitlines()[1] == "  other than recipe default: model.l2=318.25"


def test_the_next_commands_can_be_pasted() -> None:
    assert next_commands(Path("my runs/a")).splitlines() == [
        "Next: python -m trainers.report 'my runs/a'",
        "Then: python -m serving.export --model_dir='my runs/a' --export_dir=EXPORT",
    ]
