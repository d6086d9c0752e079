"""The feature layer: what the schema makes an input, numbers, buckets and crosses."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from data.attribute_table import read_attributes
from data.dataset import PreparedDataset
from data.errors import InputError
from data.feature import Feature, Kind, NumericStatistics
from models.click_config import ClickConfig
from models.crosses import cross_ids, hash_ids
from models.features import FeatureLayer
from models.numeric import bucket_boundaries, bucket_ids, normalise

MASK_64 = 2**64 - 1


def number(quantiles: tuple[float, ...] = (), **changes: Any) -> Feature:
    spread = NumericStatistics(mean=4.0, stddev=2.0, minimum=0, maximum=9, quantiles=quantiles)
    return Feature("x", Kind.NUMERIC, "float32", statistics=replace(spread, **changes))


def numpy_hash(ids: list[int], rows: int) -> int:
    """MurmurHash3's finalizer, chained."""
    golden = state = 0x9E3779B97F4A7C15
    for value in ids:
        state = (state + golden + value) & MASK_64
        for factor in (0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53):
            state = ((state ^ (state >> 33)) * factor) & MASK_64
        state ^= state >> 33
    return state % (rows - 1) + 1


def test_the_schema_says_what_is_an_input(pairs: PreparedDataset, clicks: PreparedDataset) -> None:
    of_pairs = FeatureLayer(pairs, ClickConfig())
    sides = {name: entry.side for name, entry in of_pairs.ids.items()}
    assert sides == {
        "user": "row",
        "item": "item",
        "gender": "row",
        "quality": "item",
        "genres": "item",
    }
    assert [name for name, entry in of_pairs.ids.items() if entry.is_bag] == ["genres"]
    assert (of_pairs.numbers_of("row"), of_pairs.numbers_of("item")) == (1, 1)
    assert of_pairs.context == ()
    of_clicks = FeatureLayer(clicks, ClickConfig())
    assert set(of_clicks.ids) == {"colour", "shape"}
    assert of_clicks.numbers_of("row") == 1
    assert set(of_clicks.context) == {"hours", "colour", "shape"}


def test_features_can_be_left_out(pairs: PreparedDataset) -> None:
    layer = FeatureLayer(pairs, ClickConfig(exclude=("user", "price", "genres")))
    assert set(layer.ids) == {"item", "gender", "quality"}
    assert layer.numbers_of("item") == 0
    with pytest.raises(InputError, match=r"exclude must name.*'genre'.*genres"):
        FeatureLayer(pairs, ClickConfig(exclude=("genre",)))
    with pytest.raises(InputError, match=r"'rating'"):  # kept from the model by its kind already
        FeatureLayer(pairs, ClickConfig(exclude=("rating",)))


def test_nothing_may_not_be_left(clicks: PreparedDataset) -> None:
    with pytest.raises(InputError, match="must leave a feature"):
        FeatureLayer(clicks, ClickConfig(exclude=("hours", "colour", "shape")))


def test_attributes_are_joined_to_ids(pairs: PreparedDataset) -> None:
    layer = FeatureLayer(pairs, ClickConfig(numeric="log"))
    users, items = tf.constant([2, 5, 1]), tf.constant([[3, 2], [7, 1], [4, 9]])
    of_users, of_items = read_attributes(pairs, "user"), read_attributes(pairs, "item")
    row, item = layer.row_ids({"user": users}), layer.item_ids(items)
    np.testing.assert_array_equal(row["user"], users)
    np.testing.assert_array_equal(row["gender"], of_users["gender"][users])
    np.testing.assert_array_equal(item["genres"], of_items["genres"][items])
    income = np.log1p(np.maximum(of_users["income"][users], 0))[:, None]
    np.testing.assert_allclose(layer.row_numbers({"user": users}), income, rtol=1e-6)
    price = np.log1p(np.maximum(of_items["price"][items], 0))[..., None]
    np.testing.assert_allclose(layer.item_numbers(items), price, rtol=1e-6)


def test_numbers_are_standardised_or_logged() -> None:
    raw = tf.constant([[0.0, 4.0], [-3.0, 9.0]])
    features = [number(), number(mean=1.0, stddev=0.0)]
    np.testing.assert_allclose(normalise(raw, features, "standardise"), [[-2.0, 0.0], [-3.5, 0.0]])
    expected = np.array([[0.0, np.log(5)], [0.0, np.log(10)]])
    np.testing.assert_allclose(normalise(raw, features, "log"), expected, rtol=1e-6)


def test_standardised_training_numbers_have_mean_0_and_stddev_1(clicks: PreparedDataset) -> None:
    layer = FeatureLayer(clicks, ClickConfig())
    hours = layer.row_numbers({"hours": tf.constant(clicks.read("rows", "train")["hours"])})
    assert hours.shape[1] == 1
    assert float(tf.reduce_mean(hours)) == pytest.approx(0, abs=1e-5)
    assert float(tf.math.reduce_std(hours)) == pytest.approx(1, abs=1e-5)


def test_numbers_without_statistics_are_refused() -> None:
    bare = Feature("x", Kind.NUMERIC, "float32")
    with pytest.raises(InputError, match=r"'x' must have statistics.*exclude=x"):
        normalise(tf.zeros([1, 1]), [bare], "standardise")


def test_a_value_on_a_boundary_opens_the_bucket_above() -> None:
    boundaries = (1.0, 2.5, 7.0)
    values = np.array([-1e30, 0.999, 1.0, 2.4, 2.5, 6.9, 7.0, 1e30], np.float32)
    found = bucket_ids(tf.constant(values), boundaries)
    np.testing.assert_array_equal(found, [0, 0, 1, 1, 2, 2, 3, 3])
    np.testing.assert_array_equal(found, np.searchsorted(boundaries, values, side="right"))


def test_boundaries_are_even_quantiles() -> None:
    sixty_fourths = tuple(float(n) for n in range(1, 64))
    assert bucket_boundaries(number(sixty_fourths), 4) == (16, 32, 48)
    assert bucket_boundaries(number(sixty_fourths), 2) == (32,)
    assert bucket_boundaries(number(sixty_fourths), 100) == sixty_fourths
    assert bucket_boundaries(number((0.0, 5.0)), 16) == (0, 5)


def test_the_hash_is_known_and_in_range() -> None:
    ids = np.random.default_rng(0).integers(0, 1_000_000, (3, 500))
    for rows in (2, 3, 1000):
        found = hash_ids([tf.constant(part, tf.int32) for part in ids], rows).numpy()
        assert found.tolist() == [numpy_hash(row, rows) for row in ids.T.tolist()]
        assert found.min() >= 1
        assert found.max() < rows


def test_the_hash_spreads_and_minds_the_order() -> None:
    left, right = np.divmod(np.arange(10_000), 100)
    found = hash_ids([tf.constant(left), tf.constant(right)], 101).numpy()
    counts = np.bincount(found, minlength=101)[1:]
    assert 60 < counts.min() < counts.max() < 145  # 100 on average, standard deviation 10
    swapped = hash_ids([tf.constant(right), tf.constant(left)], 101).numpy()
    assert (found == swapped).mean() < 0.05


def test_a_cross_with_a_list_crosses_each_id() -> None:
    genres, gender = tf.constant([[5, 3, 0], [0, 0, 0]]), tf.constant([2, 3])
    found = cross_ids([gender, genres], bag=1, rows=50).numpy()
    assert found.tolist() == [[numpy_hash([2, 5], 50), numpy_hash([2, 3], 50), 0], [0, 0, 0]]


def test_crosses_of_rows_of_items_and_of_both(pairs: PreparedDataset) -> None:
    crosses = ("gender*income_bucket", "quality * price_bucket", "gender*genres", "user*quality")
    layer = FeatureLayer(pairs, ClickConfig(buckets=4), crosses, 64)
    names = ("gender*income_bucket", "quality*price_bucket", "gender*genres", "user*quality")
    assert layer.crosses == names
    assert [layer.ids[name].side for name in names] == ["row", "item", "pair", "pair"]
    users, items = tf.constant([2, 5]), tf.constant([[3, 2, 8], [7, 6, 4]])
    row, item = layer.row_ids({"user": users}), layer.item_ids(items)
    pair = layer.pair_ids(row, item)
    of_users, of_items = read_attributes(pairs, "user"), read_attributes(pairs, "item")
    for b, user in enumerate(users.numpy()):
        gender = int(of_users["gender"][user])
        parts = [gender, int(row["income_bucket"][b])]
        assert int(row["gender*income_bucket"][b]) == numpy_hash(parts, 64)
        for c, i in enumerate(items.numpy()[b]):
            quality = int(of_items["quality"][i])
            assert int(pair["user*quality"][b, c]) == numpy_hash([int(user), quality], 64)
            genres = [
                numpy_hash([gender, g], 64) if g else 0 for g in of_items["genres"][i].tolist()
            ]
            assert pair["gender*genres"][b, c].numpy().tolist() == genres


@pytest.mark.parametrize(
    ("cross", "message"),
    [
        ("gender", "two or more"),
        ("gender*gender", "two or more"),
        ("gender*qualty", r"'qualty'.*quality"),
        ("gender*income", r"'income'.*income_bucket"),
    ],
)
def test_wrong_crosses_are_refused(pairs: PreparedDataset, cross: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        FeatureLayer(pairs, ClickConfig(buckets=4), (cross,), 64)


def test_attributes_keep_their_values_after_loading(pairs: PreparedDataset, tmp_path: Path) -> None:
    layer = FeatureLayer(pairs, ClickConfig())
    path = tf.train.Checkpoint(layer=layer).write(str(tmp_path / "layer"))
    tf.train.Checkpoint(layer=layer).read(path).assert_existing_objects_matched()
    items = tf.constant([[3, 2]])
    expected = read_attributes(pairs, "item")["quality"][items]
    np.testing.assert_array_equal(layer.item_ids(items)["quality"], expected)


def test_rows_without_numbers_whose_first_column_is_a_list(clicks: PreparedDataset) -> None:
    layer = FeatureLayer(clicks, ClickConfig(exclude=("hours",)))
    layer._columns = ["tags", *layer._columns]
    assert layer.row_numbers({"tags": tf.zeros([3, 5], tf.int32)}).shape == (3, 0)
