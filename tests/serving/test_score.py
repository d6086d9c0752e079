"""The signature `score`: pairs of every model, and rows of raw features."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import polars as pl
import pytest
import tensorflow as tf
from answers import STRANGER, every_model, model_scores, pasts
from conftest import Exported, ExportOf, write_export

from data.assemble import PrepareOptions, prepare
from data.atomic import write_json
from data.blocks import Ragged, write_split
from data.dataset import PreparedDataset
from data.errors import InputError
from data.feature import NumericStatistics
from data.filters import FilterOptions
from data.interactions import Interactions
from data.pipeline import MASK, make_dataset
from data.reading import Reading
from data.schema import Column, Feature, Kind, Schema, View
from data.splits import SplitOptions
from serving.sample import trainer_answers
from serving.verify import differences


@every_model
def test_score_gives_a_logit_and_a_probability_where_there_is_one(
    name: str, export_of: ExportOf
) -> None:
    exported = export_of(name)
    raw_users, raw_items = (exported.run.data.raw_ids(f)[:9] for f in ("user", "item"))
    answer = exported.signatures["score"](user=tf.constant(raw_users), item=tf.constant(raw_items))
    expected = model_scores(exported, list(range(2, 11)))[np.arange(9), np.arange(2, 11)]
    np.testing.assert_allclose(answer["logit"], expected, rtol=1e-5, atol=1e-5)
    assert answer["is_known"].numpy().all()
    assert ("probability" in answer) == (name in {"ncf", "wide_deep", "dlrm"})
    if "probability" in answer:
        np.testing.assert_allclose(answer["probability"], 1 / (1 + np.exp(-expected)), atol=1e-5)


@every_model
def test_score_marks_ids_that_training_never_saw(name: str, export_of: ExportOf) -> None:
    exported = export_of(name)
    user, item = (int(exported.run.data.raw_ids(f)[0]) for f in ("user", "item"))
    pairs = [(user, item), (STRANGER, item), (user, STRANGER)]
    users, items = (tf.constant(ids, tf.int64) for ids in zip(*pairs, strict=True))
    answer = exported.signatures["score"](user=users, item=items)
    np.testing.assert_array_equal(answer["is_known"], [True, False, False])
    assert np.isfinite(answer["logit"]).all()


def trainer_logits(exported: Exported, split: str) -> np.ndarray:
    """Returns what evaluation computes for each row of a split."""
    data, model = exported.run.data, exported.run.model
    transforms = model.transforms(data, (split,), False)
    batches = make_dataset(data, Reading("rows", (split,), 64), transforms)
    return np.concatenate([model(b).numpy()[b[MASK].numpy() > 0] for b in batches])


def score(exported: Exported, **columns: Sequence[object]) -> np.ndarray:
    specs = exported.signatures["score"].structured_input_signature[1]
    tensors = {name: tf.constant(values, specs[name].dtype) for name, values in columns.items()}
    return exported.signatures["score"](**tensors)["logit"].numpy()


def row(**changed: object) -> dict[str, Sequence[object]]:
    """Returns a row of the census, as columns."""
    return {
        k: [v] for k, v in ({"age": 41.0, "work": "a", "code": 3, "rare": "x"} | changed).items()
    }


def test_census_is_scored_as_the_trainer_scores_it(
    census: Exported, census_frame: pl.DataFrame
) -> None:
    test = census_frame.filter(split="test")
    columns = {
        "age": test["age"].fill_null(float("nan")).to_list(),
        "work": test["work"].fill_null("?").to_list(),
        "code": test["code"].fill_null(STRANGER).to_list(),
        "rare": test["rare"].to_list(),
    }
    assert test.null_count().sum_horizontal()[0] > 0
    logits = score(census, **columns)
    np.testing.assert_allclose(logits, trainer_logits(census, "test"), atol=1e-5)
    assert np.std(logits) > 0.1


def test_census_has_no_other_signature_and_takes_what_the_model_sees(census: Exported) -> None:
    signatures = set(census.signatures) - {"loaded"}
    assert signatures == {"serving_default", "score"}
    for name in signatures:
        inputs = census.signatures[name].structured_input_signature[1]
        assert inputs.keys() == {"age", "work", "code", "rare"}  # not `hours`, which is excluded
        outputs = census.signatures[name].structured_outputs
        assert outputs.keys() == {"logit", "probability"}


def test_missing_number_is_the_default(census: Exported) -> None:
    missing, default, other = (score(census, **row(age=age)) for age in (float("nan"), 30.0, 55.0))
    assert missing == default
    assert abs(missing - other) > 1e-3


def test_category_that_training_never_saw_is_unknown(census: Exported) -> None:
    unknown = score(census, **row(work="Mars"))
    assert unknown == score(census, **row(work="Venus"))
    assert abs(unknown - score(census, **row(work="a"))) > 1e-3
    assert score(census, **row(rare="y")) == score(census, **row(rare=""))


def test_padding_that_is_a_value_of_the_source_is_that_value(census: Exported) -> None:
    assert score(census, **row(work="")) == score(census, **row(work="Mars"))
    assert abs(score(census, **row(code=-1)) - score(census, **row(code=STRANGER))) > 1e-3


def test_check_of_rows_finds_a_difference(census: Exported) -> None:
    sample = trainer_answers(census.run)
    assert np.isnan(sample["score:age"]).any()
    assert differences(str(census.path), sample) == []
    sample["logit"][3] += 1e-3
    assert differences(str(census.path), sample) == ["score: logits differ"]


@pytest.fixture(scope="module")
def ratings(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """Labelled rows of users and items with attributes, users as integers and items as text."""
    rng = np.random.default_rng(0)
    pairs = [(u, f"i{i}") for u in range(30) for i in rng.permutation(40)[:12]]
    events = pl.DataFrame(pairs, schema=["user", "item"], orient="row").with_columns(
        rating=pl.Series(rng.integers(1, 6, len(pairs)), dtype=pl.Float32),
        time=pl.Series(rng.permutation(len(pairs)), dtype=pl.Int64),
    )
    users = pl.DataFrame({"user": range(30), "town": [f"t{u % 4}" for u in range(30)]})
    items = pl.DataFrame(
        {
            "item": [f"i{i}" for i in range(40)],
            "genres": [[f"g{i % 3}", "all"][: 1 + i % 2] for i in range(40)],
        }
    )
    options = PrepareOptions(
        FilterOptions(label_threshold=3.0), SplitOptions(method="random"), negatives=3
    )
    folder = tmp_path_factory.mktemp("ratings")
    prepare(Interactions("ratings", events, users=users, items=items), options, folder / "data")
    return write_export(PreparedDataset(folder / "data"), folder, "wide_deep")


def test_labelled_users_and_items_are_scored_and_recommended(ratings: Exported) -> None:
    data = ratings.run.data
    assert trainer_answers(ratings.run).keys() >= {"score:user", "score:item", "items", "logit"}
    assert differences(str(ratings.path), trainer_answers(ratings.run)) == []
    users, items = data.raw_ids("user")[:5], data.raw_ids("item")[:5]
    answer = ratings.signatures["score"](
        user=tf.constant([*users, STRANGER], tf.int64), item=tf.constant([*items, items[0]])
    )
    expected = model_scores(ratings, list(range(2, 7)))[np.arange(5), np.arange(2, 7)]
    np.testing.assert_allclose(answer["logit"][:5], expected, atol=1e-5)
    assert answer["is_known"].numpy().tolist() == [True] * 5 + [False]
    shown = ratings.signatures["serving_default"](user=tf.constant(users), k=tf.fill([5], 40))
    for user, listed in enumerate(shown["items"].numpy()):
        seen = {data.raw_ids("item")[i - 2].encode() for i in pasts(ratings)[user + 2] if i >= 2}
        assert seen
        assert not seen & set(listed)


@pytest.fixture(scope="module")
def write_tags(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Exported]:
    """Returns a function that exports a model of rows with lists of tags a, b and c."""

    def write(column: str) -> Exported:
        folder = tmp_path_factory.mktemp("tags")
        (folder / "data" / "vocab").mkdir(parents=True)
        (folder / "data" / "vocab" / "tags.txt").write_text("a\nb\nc\n")
        columns = (Column("label", "label"), Column("age", "age"), Column(column, "tags", True, 3))
        tags = Ragged(np.array([2, 4, 1, 3, 4, 2], np.int32), np.array([3, 0, 2, 1], np.int32))
        numbers = np.array([[0, 1, 1, 0], [9, 8, 7, 6]], np.float32)
        rows = {"label": numbers[0], "age": numbers[1], column: tags}
        dtypes = {"label": "float32", "age": "float32", "tags": "int32"}
        splits = {
            split: write_split(
                folder / "data", "rows", split, columns, dtypes, rows, block_rows=4, max_shards=1
            )
            for split in ("train", "test")
        }
        multi_hot = Feature("tags", Kind.MULTI_HOT, "int32", 5, "vocab/tags.txt", "string")
        age = Feature("age", Kind.NUMERIC, "float32", statistics=NumericStatistics.of(numbers[1]))
        features = (Feature("label", Kind.LABEL, "float32"), age, multi_hot)
        schema = Schema("tags", features, {"rows": View(columns, splits)})
        write_json(folder / "data" / "schema.json", schema.to_json())
        return write_export(PreparedDataset(folder / "data"), folder, "wide_deep")

    return write


def test_lists_are_padded_anywhere_and_cut_as_readers_cut_them(
    write_tags: Callable[[str], Exported],
) -> None:
    exported = write_tags("tags")
    assert differences(str(exported.path), trainer_answers(exported.run)) == []
    lists = [["a", "", "c", "", "?"], [""] * 5, ["", "b", "c", "", ""], ["b", "c", "a", "", ""]]
    lists.append(["b", "b", "b", "c", "a"])
    found = score(exported, tags=lists, age=[9.0, 8.0, 7.0, 6.0, 6.0])
    np.testing.assert_allclose(found[:3], trainer_logits(exported, "test")[:3], atol=1e-5)
    np.testing.assert_allclose(found[3], found[4], atol=1e-5)
    assert len(set(found[:4].tolist())) == 4


def test_name_that_no_signature_can_have_is_refused(
    write_tags: Callable[[str], Exported],
) -> None:
    with pytest.raises(
        InputError, match=r"letters, digits and _ to be served\. Received: 'my tags'"
    ):
        write_tags("my tags")
