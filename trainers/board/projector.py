"""The vectors of a trained model's items, for TensorBoard's embedding projector."""

from __future__ import annotations

import numpy as np
import tensorflow as tf
from google.protobuf import text_format
from tensorboard.plugins.projector import EmbeddingInfo, ProjectorConfig
from tensorboard.plugins.projector.metadata import PROJECTOR_FILENAME

from configs.runs import TrainedRun
from data.atomic import write_text
from data.attribute_table import read_item_titles
from data.dataset import PreparedDataset
from data.schema import FIRST_ID

FOLDER = "projector"
VECTORS, METADATA = f"{FOLDER}/items.tsv", f"{FOLDER}/items_metadata.tsv"
MOST_ITEMS = 5_000  # more make the page slow


def write_projector(run: TrainedRun, silent: bool) -> None:
    """Writes the vectors of the most frequent items, with their ids and titles.

    Nothing is written where the model has no vectors of items, or the dataset no raw ids of them.

    Args:
        run: The run, restored from its best checkpoint.
        silent: Whether only to take part in the lookup, on ranks other than 0.
    """
    schema = run.data.schema
    item = next((f for f in schema.features if f.name == "item" and f.vocabulary), None)
    if item is None or item.cardinality is None:
        return
    ids = np.arange(FIRST_ID, min(item.cardinality, FIRST_ID + MOST_ITEMS), dtype=np.int32)
    vectors = run.model.item_vectors(tf.constant(ids))
    if vectors is None or silent:
        return
    (run.folder / FOLDER).mkdir(exist_ok=True)
    rows = ("\t".join(f"{value:.6g}" for value in row) for row in vectors.numpy())
    write_text(run.folder / VECTORS, "".join(f"{row}\n" for row in rows))
    write_text(run.folder / METADATA, _metadata(run.data, ids))
    info = EmbeddingInfo(
        tensor_name=f"items of {run.config.model_name}",
        tensor_path=VECTORS,
        metadata_path=METADATA,
        tensor_shape=list(vectors.shape),
    )
    text = text_format.MessageToString(ProjectorConfig(embeddings=[info]))
    write_text(run.folder / PROJECTOR_FILENAME, text)


def _metadata(data: PreparedDataset, ids: np.ndarray) -> str:
    """Returns a line for each item, its label first: title if there is one, id, and rank."""
    raw_ids = [_cell(raw) for raw in data.raw_ids("item")[ids - FIRST_ID].tolist()]
    columns = {"id": raw_ids, "popularity_rank": [str(n) for n in ids - FIRST_ID + 1]}
    titles = read_item_titles(data)
    if titles is not None:
        known = zip(titles[ids].tolist(), raw_ids, strict=True)
        columns = {"title": [_cell(title) or raw for title, raw in known], **columns}
    lines = ["\t".join(columns), *("\t".join(row) for row in zip(*columns.values(), strict=True))]
    return "".join(f"{line}\n" for line in lines)


def _cell(value: object) -> str:
    return " ".join(str(value).split())
