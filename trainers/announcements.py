"""What a run says of itself: what it trains, how that went, and what to do next."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from configs.base import RunConfig
from configs.differences import compared_recipe, from_recipe
from configs.overrides import as_text
from configs.results import badness
from configs.runs import CONFIG_FILE, TrainedRun, config_to_json
from data.dataset import PreparedDataset
from data.errors import InputError
from models.popularity import Popularity
from trainers.selection import find_monitor


def what_is_trained(config: RunConfig, data: PreparedDataset, model_dir: Path) -> str:
    """Returns lines on the model, the data and what is set otherwise than the recipe."""
    resolved = config_to_json(config)
    lines = [
        f"{config.model_name}, recipe {config.recipe}, on {data.schema.name} in {data.folder}; all "
        f"settings in {model_dir / CONFIG_FILE}"
    ]
    changed = [f"{path}={as_text(value)}" for path, value in from_recipe(resolved).items()]
    if changed:
        lines.append(f"  other than recipe {compared_recipe(resolved)}: {' '.join(changed)}")
    return "\n".join(lines)


def next_commands(model_dir: Path) -> str:
    """Returns the commands to go on with after training."""
    run = shlex.quote(str(model_dir))
    return (
        f"Next: python -m trainers.report {run}\n"
        f"Then: python -m serving.export --model_dir={run} --export_dir=EXPORT"
    )


def below_baseline(run: TrainedRun, results: Mapping[str, Any]) -> str | None:
    """Returns a warning where the monitored metric is worse than the baseline's; None else."""
    baseline = results["baseline"]
    try:
        metric = find_monitor(run.config.trainer.monitor, list(results["metrics"]))
    except InputError:  # this evaluation did not measure it
        return None
    ours, theirs = results["metrics"][metric], baseline["metrics"][metric]
    if isinstance(run.model, Popularity) or ours is None or theirs is None:
        return None
    if badness(metric, ours) <= badness(metric, theirs):
        return None
    settings = ["trainer.learning_rate", "trainer.epochs"]
    settings += ["model.negatives"] * hasattr(run.config.model, "negatives")
    return (
        f"WARNING: {metric} {ours:.4f} is worse than {theirs:.4f} of the {baseline['name']} "
        f"baseline. Check that recipe {run.config.recipe} suits this data, {', '.join(settings)}, "
        f"and the data itself: python -m data.inspect {shlex.quote(str(run.data.folder))}"
    )
