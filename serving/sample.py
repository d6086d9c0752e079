"""What the trainer's model answers for a part of the data: what an export is checked against.

It is computed by the trainer's own functions on the data's own batches, none of the graph's.

Legend: U users, n items of a list, N rows.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from configs.runs import TrainedRun
from data.blocks import Ragged
from data.dataset import PreparedDataset
from data.events import SPLITS
from data.hashing import hashed_ids
from data.pipeline import MASK, Batch, Transform, make_dataset
from data.reading import Reading
from data.schema import FIRST_ID, PAD_ID, Column, Feature, Kind
from models.graphs import graph_function
from serving.signatures.recommend import NO_SCORE
from serving.signatures.score import input_columns, scores_rows

Sample = dict[str, np.ndarray]
SCORED = "score:"  # before the names of the inputs of `score`
_ITEMS = 50
_ROWS = 1_000
_CHUNK = 100  # users scored on all items at once


def trainer_answers(run: TrainedRun, users: int = 1_000) -> Sample:
    """Returns what `serving.verify` takes.

    Args:
        run: The trained run.
        users: Most known users to answer for.

    Returns:
        Raw ids as they are in requests, text as UTF-8. Where the model recommends, `user` (U,) with
        the best `items` and `scores` (U, n) that are not among its `seen`, one user's after the
        other's, `seen_lengths` (U,) of them. If it scores by histories, the same with `history` in
        the place of `user`, and `history_` before the other names. Each input of `score` by its
        name after `score:`, and `logit` (N,).
    """
    sample: Sample = {}
    if run.model.recommends:
        sample |= _of_users(run, users)
        if run.model.scores_by == "seen_item":
            sample |= _of_histories(run)
    if scores_rows(run):
        sample |= _of_rows(run)
    return sample


def _of_users(run: TrainedRun, most: int) -> Sample:
    """Returns the lists of known users, and logits of a pair of each."""
    known = len(run.data.raw_ids("user"))
    wanted = np.unique(np.linspace(0, known - 1, min(known, most)).astype(np.int32)) + FIRST_ID
    pasts = _pasts(run.data, wanted)
    users = np.array(sorted(pasts), np.int32)
    # As a graph, where a model maps user by user, it is many times faster.
    score = graph_function(run.model.item_scores, reduce_retracing=True)
    lists, logits = [], []
    items = (np.arange(len(users)) * 7919) % len(run.data.raw_ids("item")) + FIRST_ID
    for start in range(0, len(users), _CHUNK):
        part = slice(start, start + _CHUNK)
        mine = [pasts[user] for user in users[part]]
        batch = {"user": tf.constant(users[part]), "seen_item": tf.constant(_padded(mine))}
        scores = score(batch).numpy()
        logits.append(np.take_along_axis(scores, items[part, None], axis=1)[:, 0])
        lists.append(_best(scores, mine))
    sample = {"user": _raw(run.data, "user", users)}
    sample |= _listed(run.data, lists, [pasts[user] for user in users])
    pairs = {"user": sample["user"], "item": _raw(run.data, "item", items)}
    return sample | _scored(pairs, np.concatenate(logits))


def _of_histories(run: TrainedRun) -> Sample:
    """Returns the lists for the histories of one batch of the evaluation."""
    reading = Reading("histories", (_last_split(run.data, "histories"),), _CHUNK)
    batch = next(iter(make_dataset(run.data, reading)))
    seen = batch["seen_item"].numpy()
    chosen = np.flatnonzero((seen >= FIRST_ID).any(axis=1))
    if not len(chosen):
        return {}
    pasts = [row[row != PAD_ID] for row in seen[chosen]]
    lists = [_best(run.model.item_scores(batch).numpy()[chosen], pasts)]
    listed = {f"history_{k}": v for k, v in _listed(run.data, lists, pasts).items()}
    return {"history": _raw(run.data, "item", seen[chosen]), **listed}


def _of_rows(run: TrainedRun) -> Sample:
    """Returns the logits of the first rows of the evaluation."""
    split = _last_split(run.data, "rows")
    transforms = [_known_hashes(run), *run.model.transforms(run.data, (split,), False)]
    batch = next(iter(make_dataset(run.data, Reading("rows", (split,), _ROWS), transforms)))
    return _scored(raw_rows(run, _ROWS), run.model(batch).numpy()[batch[MASK].numpy() > 0])


def raw_rows(run: TrainedRun, count: int) -> Sample:
    """Returns the first rows of the evaluation as `score` takes them; defaults are left out."""
    reading = Reading("rows", (_last_split(run.data, "rows"),), count)
    batch = next(iter(make_dataset(run.data, reading)))
    real = batch[MASK].numpy() > 0
    inputs = {}
    for column in input_columns(run):
        feature = run.data.schema.feature(column.feature)
        values = batch[column.name].numpy()[real]
        if feature.hash_buckets:
            texts = _hashed_texts(column.name, tf.constant(values), feature).numpy()
            # As plain bytes: objects could not be stored for the process that checks.
            values = texts.astype(np.bytes_ if feature.raw_dtype == "string" else np.int64)
        elif feature.kind is not Kind.NUMERIC:
            values = _raw(run.data, feature.name, values)
        elif feature.default is not None:
            values = np.where(values == np.float32(feature.default), np.float32(np.nan), values)
        inputs[column.name] = values
    return inputs


def _known_hashes(run: TrainedRun) -> Transform:
    """Returns what gives hashed columns ids of which a raw id is known."""
    hashed = {c.name: f for c in input_columns(run) if (f := _feature_of(run, c)).hash_buckets}

    def replace(batch: Batch, seed: tf.Tensor) -> Batch:
        del seed
        known = {
            name: tf.where(
                batch[name] == PAD_ID,
                PAD_ID,
                hashed_ids(_hashed_texts(name, batch[name], feature), feature.hash_buckets or 0),
            )
            for name, feature in hashed.items()
        }
        return {**batch, **known}

    return replace


def _feature_of(run: TrainedRun, column: Column) -> Feature:
    return run.data.schema.feature(column.feature)


def _hashed_texts(name: str, ids: tf.Tensor, feature: Feature) -> tf.Tensor:
    """Returns a raw id, as text or number, for each id; none for padding."""
    is_text = feature.raw_dtype == "string"
    numbers = tf.strings.as_string(ids)
    texts = tf.strings.join([f"{name} ", numbers]) if is_text else numbers
    return tf.where(ids == PAD_ID, "" if is_text else "-1", texts)


def _last_split(data: PreparedDataset, view: str) -> str:
    return [name for name in SPLITS if name in data.schema.view(view).splits][-1]


def _pasts(data: PreparedDataset, wanted: np.ndarray) -> dict[int, np.ndarray]:
    """Returns all that is known of each user's items, in time order; none of users without any."""
    pasts: dict[int, np.ndarray] = {}
    splits = [name for name in SPLITS if name in data.schema.view("histories").splits]
    for split in reversed(splits):
        rows = data.read("histories", split)
        users, seen, now = rows["user"], rows["seen_item"], rows["item"]
        assert isinstance(users, np.ndarray)
        assert isinstance(seen, Ragged)
        assert isinstance(now, Ragged)
        for row in np.flatnonzero(np.isin(users, wanted)):
            past = np.concatenate([part.take(np.array([row])).values for part in (seen, now)])
            if users[row] not in pasts and (past >= FIRST_ID).any():
                pasts[int(users[row])] = past
    return pasts


def _padded(lists: Sequence[np.ndarray]) -> np.ndarray:
    """Returns lists of unequal length as rows, padded with 0 at the end, int32."""
    padded = np.full((len(lists), max(map(len, lists))), PAD_ID, np.int32)
    for row, values in enumerate(lists):
        padded[row, : len(values)] = values
    return padded


def _best(scores: np.ndarray, pasts: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Returns ids and scores (U, n) of the best items that are not in the pasts."""
    scores[:, :FIRST_ID] = -np.inf
    for row, past in zip(scores, pasts, strict=True):
        row[past] = -np.inf
    ids = np.argsort(-scores, axis=1, kind="stable")[:, :_ITEMS]
    best = np.take_along_axis(scores, ids, axis=1)
    return np.where(np.isneginf(best), PAD_ID, ids), np.where(np.isneginf(best), NO_SCORE, best)


def _listed(
    data: PreparedDataset,
    lists: Sequence[tuple[np.ndarray, np.ndarray]],
    pasts: Sequence[np.ndarray],
) -> Sample:
    ids, scores = (np.concatenate(part) for part in zip(*lists, strict=True))
    lengths = np.array([len(past) for past in pasts])
    seen = _raw(data, "item", np.concatenate(pasts))
    return {
        "items": _raw(data, "item", ids),
        "scores": scores,
        "seen": seen,
        "seen_lengths": lengths,
    }


def _scored(inputs: Sample, logits: np.ndarray) -> Sample:
    return {**{SCORED + name: values for name, values in inputs.items()}, "logit": logits}


def _raw(data: PreparedDataset, feature: str, ids: np.ndarray) -> np.ndarray:
    """Returns raw ids of ids: padding for 0, what no vocabulary holds for 1."""
    raw = data.raw_ids(feature)
    if raw.dtype.kind == "U":
        known = np.char.encode(raw, "utf-8")
        ends = [b"", max(known.tolist(), key=len, default=b"") + b"?"]
    else:
        known, ends = raw, [-1, int(np.setdiff1d(np.arange(len(raw) + 1), raw)[0])]
    return np.concatenate([np.array(ends), known])[ids]
