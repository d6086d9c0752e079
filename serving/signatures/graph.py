"""The exported graph: the signatures that a run's model and data can answer."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from configs.runs import TrainedRun
from serving.signatures.raw_ids import RawIds, ReadableIds
from serving.signatures.recommend import Recommend
from serving.signatures.score import PairScore, RowScore, scores_rows
from serving.signatures.user_scorers import make_user_scorer


class ServingGraph(tf.Module):
    """What is exported of one trained run.

    Args:
        run: The trained run.
    """

    def __init__(self, run: TrainedRun) -> None:
        super().__init__()
        self._parts: list[Recommend | PairScore | RowScore] = []
        ids: dict[str, RawIds] = {}
        if run.model.recommends:
            users, items = RawIds(run.data, "user"), ReadableIds(run.data, "item")
            scorer = make_user_scorer(run)
            self._parts.append(Recommend(run, users, items, scorer))
            ids = {"user": users, "item": items}
        if scores_rows(run):
            self._parts.append(RowScore(run, ids))
        elif run.model.recommends:
            self._parts.append(PairScore(users, items, scorer, run.model.logits_are_binary))

    def signatures(self) -> dict[str, Any]:
        """Returns the SavedModel's signatures by name."""
        named = {name: f for part in self._parts for name, f in part.signatures().items()}
        return {"serving_default": named.get("recommend_user", named.get("score")), **named}
