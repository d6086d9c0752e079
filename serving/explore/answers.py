"""What the models answer, as JSON for the page: one model's refusal does not hide the other."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from scipy.stats import kendalltau

from data.errors import InputError
from serving.client import RawId
from serving.explore.catalogue import Catalogue
from serving.explore.models import RECOMMEND, SCORE, ExploredModel
from serving.explore.questions import ListQuestion, kind_of, raw_id, row_values

_SHOWN_PAST = 100  # of a user's items
_SHOWN_USERS = 200

Json = dict[str, Any]


def description(model: ExploredModel) -> Json:
    """Returns what the page must know of a model before it asks."""
    signatures = model.signatures
    return {
        "name": model.name,
        "version": model.version,
        "address": model.transport.address,
        "recommends": RECOMMEND in signatures,
        "inputs": [
            {"name": name, "kind": kind_of(known.dtype), "is_list": known.rank > 1}
            for name, known in sorted(signatures.get(SCORE, {}).items())
        ],
        "items": len(model.known_items) if model.known_items is not None else None,
        "users": model.past.some_users(_SHOWN_USERS) if model.past is not None else [],
        "row": {name: _typed(values[0]) for name, values in model.row.items()},
        "card": model.card,
    }


def recommendations(model: ExploredModel, question: ListQuestion, catalogue: Catalogue) -> Json:
    """Returns a model's list, or its `error`."""
    if RECOMMEND not in model.signatures:
        return {"error": "This model scores rows only; see the tab Score."}
    try:
        return _recommendations(model, question, catalogue)
    except InputError as error:
        return {"error": str(error)}


def _recommendations(model: ExploredModel, question: ListQuestion, catalogue: Catalogue) -> Json:
    types = model.signatures[RECOMMEND]

    def items(name: str, texts: Sequence[str]) -> list[RawId]:
        return [raw_id(text, types[name].dtype, f"An item of {name}") for text in texts]

    history = items("history", question.history)
    exclude = items("exclude", question.exclude)
    allow = items("allow", question.allow)
    user = question.user and raw_id(question.user, types["user"].dtype, "The user")
    answer = model.recommender.recommend(
        user,
        question.k,
        history=history,
        exclude=exclude,
        allow=allow,
        exclude_seen=question.exclude_seen,
    )
    given = map(str, [*history, *exclude, *allow])
    known = model.known_items
    return {
        "items": [
            {**_item(str(r.item), catalogue), "score": r.score} for r in answer.recommendations
        ],
        "is_popular": answer.is_popular,
        "unknown_share": answer.unknown_share,
        "unknown_items": None if known is None else [i for i in given if i not in known],
        "past": None if user is None else _past(model, str(user), catalogue),
    }


def _past(model: ExploredModel, user: str, catalogue: Catalogue) -> Json | None:
    """Returns the items that an export stores of a user: the last first, or the most popular."""
    if model.past is None:
        return None
    taken = model.past.of(user)
    is_ordered = model.past.is_in_time_order
    shown = (taken[::-1] if is_ordered else taken)[:_SHOWN_PAST]
    return {
        "items": [_item(item, catalogue) for item in shown],
        "total": len(taken),
        "is_in_time_order": is_ordered,
    }


def agreement(lists: Sequence[Json]) -> Json | None:
    """Returns how alike the lists of two models are; None where there are not two lists.

    Returns:
        `shared` items, of `longest` items of the longer list, and `kendall_tau` of the ranks of the
        shared ones (Kendall 1938): 1 for the same order, -1 for the opposite, None below two.
    """
    if len(lists) != 2 or any("error" in answer for answer in lists):
        return None
    first, second = ([item["id"] for item in answer["items"]] for answer in lists)
    ranks = {item: rank for rank, item in enumerate(second)}
    shared = [ranks[item] for item in first if item in ranks]
    tau = kendalltau(range(len(shared)), shared).statistic if len(shared) > 1 else None
    longest = max(len(first), len(second))
    return {"shared": len(shared), "longest": longest, "kendall_tau": tau}


def score(model: ExploredModel, row: Mapping[str, str]) -> Json:
    """Returns a model's score of one row, or its `error`."""
    if SCORE not in model.signatures:
        return {"error": "This model has no signature score."}
    try:
        outputs = model.recommender.score(row_values(row, model.signatures[SCORE]))
    except InputError as error:
        return {"error": str(error)}
    return {name: values[0] for name, values in outputs.items()}


def as_json(value: Any) -> Any:
    """Returns a value that every browser reads as JSON: numbers that are none become null."""
    if isinstance(value, Mapping):
        return {key: as_json(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [as_json(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _item(item: str | None, catalogue: Catalogue) -> Json:
    return {"id": item, "title": None if item is None else catalogue.title(item)}


def _typed(value: Any) -> str:
    """Returns a value of an example as a person would type it."""
    if isinstance(value, list):
        return ",".join(str(part) for part in value if part not in ("", -1))
    return "" if isinstance(value, float) and math.isnan(value) else str(value)
