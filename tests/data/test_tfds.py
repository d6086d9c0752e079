"""MovieLens through tensorflow-datasets: what arrives, and what is said where nothing does."""

from __future__ import annotations

from pathlib import Path

import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

from data.errors import InputError
from data.sources import tfds_movielens


class FakeBuilder:
    """Stands for the builder of tensorflow-datasets."""

    def __init__(self, folder: Path, error: Exception | None = None) -> None:
        self.data_dir, self.error = str(folder / "movielens/1m-ratings/0.1.1"), error
        self.info = self
        self.version = "0.1.1"
        Path(self.data_dir).mkdir(parents=True)
        (Path(self.data_dir) / "dataset_info.json").write_text("{}")

    def download_and_prepare(self) -> None:
        if self.error:
            raise self.error

    def as_dataset(self, split: str, batch_size: int) -> dict[str, tf.Tensor]:
        assert (split, batch_size) == ("train", -1)
        return {
            "user_id": tf.constant(["138", "92"]),
            "movie_id": tf.constant(["357", "709"]),
            "user_rating": tf.constant([4.0, 2.0]),
            "timestamp": tf.constant([875693118, 875693119], tf.int64),
        }


def fake_builder(monkeypatch: pytest.MonkeyPatch, builder: FakeBuilder) -> None:
    monkeypatch.setattr("tensorflow_datasets.builder", lambda name: builder)


def test_tfds_delivers_raw_ids(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_builder(monkeypatch, FakeBuilder(tmp_path))
    source = tfds_movielens.load("movielens_1m")
    assert source.events.rows() == [(138, 357, 4.0, 875693118), (92, 709, 2.0, 875693119)]
    assert source.options == {"tfds": "movielens/1m-ratings:0.1.1"}


def test_tfds_offline_says_so_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    builder = tfds.builder
    monkeypatch.setattr(tfds, "builder", lambda name: builder(name, data_dir=str(tmp_path)))
    for name in ("HTTPS_PROXY", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")  # where nothing listens
    with pytest.raises(InputError) as caught:
        tfds_movielens.load("movielens_1m")
    message = str(caught.value)
    assert message.startswith(f"movielens/1m-ratings must be in {tmp_path}")
    assert "no network, or a failed download: ProxyError" in message
    assert "pass --source=FOLDER_OR_ZIP --dataset=movielens_1m" in message


def test_tfds_missing_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    error = ModuleNotFoundError("No module named 'some_package'", name="some_package")
    fake_builder(monkeypatch, FakeBuilder(tmp_path, error))
    with pytest.raises(InputError, match=r"packages .*pip install some_package, or .*--source="):
        tfds_movielens.load("movielens_1m")
