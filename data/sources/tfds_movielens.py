"""MovieLens through tensorflow-datasets, which reads its own folder or downloads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl

from data.errors import InputError
from data.interactions import Interactions
from data.times import SECONDS, TIME_UNIT

BUILDERS = {
    "movielens_100k": "movielens/100k-ratings",
    "movielens_1m": "movielens/1m-ratings",
    "movielens_20m": "movielens/20m-ratings",
    "movielens_25m": "movielens/25m-ratings",
    "movielens_latest": "movielens/latest-small-ratings",
}
HOST = "https://files.grouplens.org"  # from which the builders download
_PATIENCE = 10  # seconds


def load(dataset: str) -> Interactions:
    """Reads a MovieLens dataset with its tensorflow-datasets builder.

    Args:
        dataset: A key of `BUILDERS`.

    Raises:
        InputError: The dataset is neither in the builder's folder nor to be downloaded, or a
            package that the builder needs is missing.
    """
    # Here, as its import takes seconds that no other source needs to spend.
    import tensorflow_datasets as tfds

    builder = tfds.builder(BUILDERS[dataset])
    _download(builder, dataset)
    columns = tfds.as_numpy(builder.as_dataset(split="train", batch_size=-1))
    events = pl.DataFrame(
        {
            "user": pl.Series(columns["user_id"]).cast(pl.String).cast(pl.Int64),
            "item": pl.Series(columns["movie_id"]).cast(pl.String).cast(pl.Int64),
            "rating": pl.Series(columns["user_rating"]).cast(pl.Float32),
            "time": pl.Series(columns["timestamp"]).cast(pl.Int64),
        }
    )
    version = str(builder.info.version)
    return Interactions(
        dataset,
        events,
        options={"tfds": f"{BUILDERS[dataset]}:{version}"},
        facts={TIME_UNIT: SECONDS},
    )


def _download(builder: Any, dataset: str) -> None:
    instead = f"download MovieLens yourself and pass --source=FOLDER_OR_ZIP --dataset={dataset}"
    try:
        _check_network(builder)
        builder.download_and_prepare()
    except ImportError as error:
        raise InputError(
            "tensorflow-datasets must find the packages that it needs",
            received=error,
            action=f"Run pip install {error.name}, or {instead}",
        ) from error
    except Exception as error:
        # The downloader raises what its HTTP client raises, whatever that is today.
        raise InputError(
            f"{BUILDERS[dataset]} must be in {builder.data_dir} or be downloadable",
            received=f"no network, or a failed download: {type(error).__name__}: {error}",
            action=f"Offline, {instead}",
        ) from error


def _check_network(builder: Any) -> None:
    """Fails within seconds where the builder would try again for minutes."""
    prepared = Path(builder.data_dir)
    archives = (prepared.parents[2] / "downloads").glob("*.zip")
    if (prepared / "dataset_info.json").exists() or any(archives):
        return
    import requests

    requests.head(HOST, timeout=_PATIENCE)
