"""Which evaluation a dataset asks for: labelled rows are a click task, others a ranking."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from configs.base import EvaluationConfig
from data.dataset import PreparedDataset
from models.communicator import Communicator
from trainers.click_evaluation import LABEL, ClickEvaluator
from trainers.ranking_evaluation import RankingEvaluator
from trainers.result import Result

Evaluator = RankingEvaluator | ClickEvaluator


def is_click_task(data: PreparedDataset) -> bool:
    """Returns whether the dataset's rows have labels to predict."""
    rows = data.schema.views.get("rows")
    return rows is not None and any(column.name == LABEL for column in rows.columns)


def evaluated_splits(data: PreparedDataset) -> set[str]:
    """Returns the splits of the view that is evaluated."""
    return set(data.schema.view("rows" if is_click_task(data) else "histories").splits)


def make_evaluator(
    scorer: Any,
    data: PreparedDataset,
    split: str,
    config: EvaluationConfig,
    protocols: Sequence[str],
    communicator: Communicator | None = None,
    detailed: bool = False,
) -> Evaluator:
    """Returns the evaluator that the dataset asks for.

    Args:
        scorer: What to evaluate.
        data: The prepared dataset.
        split: `validation` or `test`.
        config: What is measured.
        protocols: Of rankings: `sampled`, `full` or both.
        communicator: Other processes, each of which evaluates its share.
        detailed: Whether to return what was found of each user or row beside the means.

    Raises:
        InputError: The dataset lacks what the evaluation needs.
    """
    if is_click_task(data):
        return ClickEvaluator(scorer, data, split, config, communicator, detailed)
    return RankingEvaluator(scorer, data, split, config, protocols, communicator, detailed)


__all__ = ["Evaluator", "Result", "evaluated_splits", "is_click_task", "make_evaluator"]
