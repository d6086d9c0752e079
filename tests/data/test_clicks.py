"""Click tables: Adult and Criteo from file to rows, vocabularies of train, malformed lines."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from data.click_rows import ClickOptions, prepare_clicks
from data.click_table import ClickTable
from data.dataset import PreparedDataset
from data.errors import InputError
from data.pipeline import MASK, Reading, make_dataset
from data.schema import Kind
from data.sources import adult, criteo
from data.summary import summary
from tests.data.raw_files import replace_line, says, zipped

NUMBERS = ["age", "fnlwgt", "education_num", "capital_gain", "capital_loss", "hours_per_week"]
PERSON = "39, {}, 77516, Bachelors, 13, Never-married, ?, Husband, White, Male, 2174, 0, 40, {}, {}"


def person(work: str = "Private", land: str = "Cuba", label: str = "<=50K") -> str:
    return PERSON.format(work, land, label) + "\n"


def write_adult(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    rows = [person("?", f"L{n % 3}", ">50K" if n % 4 == 0 else "<=50K") for n in range(20)]
    (folder / "adult.data").write_text("".join(rows) + "\n")
    tests = [person("State-gov", "L0", ">50K."), person("Private", "Mars", "<=50K.")]
    (folder / "adult.test").write_text("|1x3 Cross validator\n" + "".join(tests) + "\n")
    return folder


def load_adult(folder: Path, ratio: float = 0.1, seed: int = 0, share: float = 0.0) -> ClickTable:
    return adult.load(adult.AdultOptions(folder, ratio, seed, share))


def click(label: str, first: str, category: str, last: str) -> str:
    return "\t".join([label, first, *["7"] * 12, category, *["68fd1e64"] * 24, last])


def write_criteo(path: Path) -> Path:
    rows = [click(str(n % 2), str(n - 1), f"a{n % 5 // 2}", "") for n in range(20)]
    rows[3] = click("1", "", "", "e5ba7672")
    path.write_text("\n".join(rows) + "\n")
    return path


def load_criteo(
    source: Path, validation: float = 0.1, test: float = 0.2, share: float = 0.0
) -> ClickTable:
    return criteo.load(criteo.CriteoOptions(source, validation, test, share))


def prepared(
    table: ClickTable, out: Path, count: int | None = None, seed: int = 0
) -> PreparedDataset:
    prepare_clicks(table, ClickOptions(count, seed), out)
    return PreparedDataset(out)


def column(data: PreparedDataset, split: str, name: str) -> np.ndarray:
    values = data.read("rows", split)[name]
    assert isinstance(values, np.ndarray)
    return values


@pytest.mark.parametrize("as_zip", [False, True])
def test_adult_is_read_as_uci_gives_it(as_zip: bool, tmp_path: Path) -> None:
    folder = write_adult(tmp_path / "adult")
    table = load_adult(zipped(folder) if as_zip else folder)
    frame = table.frame
    assert frame["label"].to_list()[:5] == [1, 0, 0, 0, 1]
    assert frame["label"].to_list()[20:] == [1, 0]
    assert frame["split"].to_list()[20:] == ["test", "test"]
    assert sorted(frame["split"].to_list()[:20]) == ["train"] * 18 + ["validation"] * 2
    assert [name for name in frame.columns if frame[name].dtype == pl.Float32] == [
        *NUMBERS,
        "label",
    ]
    assert frame["workclass"].to_list()[19:] == [None, "State-gov", "Private"]
    assert frame["age"].to_list() == [39] * 22
    assert set(table.files) == {"adult.data", "adult.test"}


def test_adult_validation_depends_on_the_seed_and_may_be_left_out(tmp_path: Path) -> None:
    folder = write_adult(tmp_path / "adult")
    found = {tuple(load_adult(folder, 0.2, seed).frame["split"]) for seed in range(5)}
    assert len(found) == 5
    assert {split.count("validation") for split in found} == {4}
    data = prepared(load_adult(folder, 0.0), tmp_path / "out")
    assert set(data.schema.view("rows").splits) == {"train", "test"}
    with pytest.raises(InputError, match=says("at least 0 and below 1", "--validation_ratio=1")):
        load_adult(folder, 1.0)


def test_columns_are_label_numbers_categories_with_vocabularies_of_train(tmp_path: Path) -> None:
    data = prepared(load_adult(write_adult(tmp_path / "adult")), tmp_path / "out")
    schema = data.schema
    assert set(schema.views) == {"rows"}
    names = [c.name for c in schema.view("rows").columns]
    assert names[:7] == ["label", *NUMBERS]
    kinds = [schema.feature(name).kind for name in names]
    assert kinds == [Kind.LABEL] + [Kind.NUMERIC] * 6 + [Kind.CATEGORICAL] * 8
    assert sorted(data.raw_ids("native_country")) == ["L0", "L1", "L2"]
    assert data.raw_ids("workclass").tolist() == []  # missing in training, so never an entry
    assert column(data, "test", "workclass").tolist() == [1, 1]
    assert column(data, "test", "label").tolist() == [1, 0]
    countries = column(data, "test", "native_country")
    assert data.raw_ids("native_country")[countries[0] - 2] == "L0"
    assert countries[1] == 1
    assert schema.feature("race").default == 1


def test_criteo_is_split_by_position_and_missing_numbers_are_zero(tmp_path: Path) -> None:
    source = write_criteo(tmp_path / "train.txt")
    data = prepared(load_criteo(source), tmp_path / "out", count=1)
    assert [data.split("rows", s).rows for s in ("train", "validation", "test")] == [14, 2, 4]
    assert column(data, "validation", "I1").tolist() == [13, 14]
    assert column(data, "test", "I1").tolist() == [15, 16, 17, 18]
    train = np.array([-1, 0, 1, 0, *range(3, 13)])  # line 4 has none
    assert sorted(column(data, "train", "I1").tolist()) == sorted(train.tolist())
    feature = data.schema.feature("I1")
    assert feature.default == 0
    assert feature.statistics is not None
    assert feature.statistics.mean == pytest.approx(train.mean())
    assert feature.statistics.minimum == -1  # minus one is a number, as in Criteo's I2
    names = [c.name for c in data.schema.view("rows").columns]
    assert names == ["label", *(f"I{n}" for n in range(1, 14)), *(f"C{n}" for n in range(1, 27))]


@pytest.mark.parametrize(
    ("count", "kept"), [(None, {"a0", "a1"}), (6, {"a0"}), (7, set()), (1, {"a0", "a1", "a2"})]
)
def test_categories_need_enough_training_rows(
    count: int | None, kept: set[str], tmp_path: Path
) -> None:
    data = prepared(load_criteo(write_criteo(tmp_path / "train.txt")), tmp_path / "out", count)
    assert set(data.raw_ids("C1").tolist()) == kept
    found = {"a0": 6, "a1": 5, "a2": 2}  # of 14 training rows, one of which has none
    out_of_vocabulary = 14 - sum(found[name] for name in kept)
    assert (column(data, "train", "C1") == 1).sum() == out_of_vocabulary
    assert data.schema.provenance["options"]["min_category_count"] == (count or 4)


def test_folder_zip_and_file_hold_the_same(tmp_path: Path) -> None:
    folder = tmp_path / "kaggle"
    folder.mkdir()
    source = write_criteo(folder / "train.txt")
    frame = load_criteo(source).frame
    assert load_criteo(folder).frame.equals(frame)
    assert load_criteo(zipped(folder)).frame.equals(frame)
    with pytest.raises(InputError, match="The source must exist"):
        load_criteo(tmp_path / "nowhere")
    source.write_text("\n")
    with pytest.raises(InputError, match="at least one line"):
        load_criteo(source)


def test_train_rows_are_shuffled_whole_and_batches_read_them(tmp_path: Path) -> None:
    table = ClickTable("t", _numbered(5000))
    orders = []
    for seed in (1, 2):
        data = prepared(ClickTable("t", table.frame), tmp_path / str(seed), seed=seed)
        rows = data.read("rows", "train")
        x, c, label = (np.asarray(rows[name]) for name in ("x", "c", "label"))
        np.testing.assert_array_equal(data.raw_ids("c")[c - 2], x.astype(int) % 7)
        np.testing.assert_array_equal(label, x % 2)
        assert sorted(x.tolist()) == list(range(4000))
        orders.append(x)
    assert not np.array_equal(orders[0], orders[1])
    assert (np.diff(orders[0]) > 0).mean() < 0.6
    np.testing.assert_array_equal(column(data, "test", "x"), np.arange(4000, 5000))
    found = []
    for batch in make_dataset(data, Reading("rows", ("train",), 300, shuffle=True)):
        assert set(batch) == {MASK, "label", "x", "c"}
        found += batch["x"].numpy()[batch[MASK].numpy() > 0].tolist()
    assert sorted(found) == list(range(4000))


def _numbered(rows: int) -> pl.DataFrame:
    n = np.arange(rows)
    return pl.DataFrame(
        {
            "c": n % 7,
            "x": n.astype(np.float32),
            "label": (n % 2).astype(np.float32),
            "split": np.where(n < rows * 4 // 5, "train", "test"),
        }
    )


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        (person()[:-8], "14 of 15 fields"),
        (person().strip() + ", 1", "16 of 15 fields"),
        (person(label="50K"), "field 'label': ' 50K' is not <=50K or >50K"),
        (person(label=""), "field 'label': ' ' is not <=50K or >50K"),
        (person().replace("77516", "many"), "field 'fnlwgt': ' many' is not a finite number or ?"),
        (person().replace("77516", "inf"), "field 'fnlwgt': ' inf' is not a finite number or ?"),
        (person().replace("White", ""), "field 'race': ' ' is not a text that is not empty"),
    ],
)
@pytest.mark.parametrize(("file", "number"), [("adult.data", 5), ("adult.test", 3)])
def test_malformed_line_of_adult(
    line: str, fault: str, file: str, number: int, tmp_path: Path
) -> None:
    folder = write_adult(tmp_path / "adult")
    replace_line(folder / file, number, line.rstrip("\n").encode())
    rule = "Each line must read age,workclass,fnlwgt"
    with pytest.raises(InputError, match=says(rule, fault, f"{file}, line {number} (1 of")):
        load_adult(folder)
    table = load_adult(folder, share=0.5)
    assert table.skipped_lines == {file: 1}
    assert len(table.frame) == 21


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        (click("1", "5", "a0", "b")[:-2], "39 of 40 fields"),
        (click("1", "5", "a0", "b\tc"), "41 of 40 fields"),
        (click("2", "5", "a0", "b"), "field 'label': '2' is not 0 or 1"),
        (click("", "5", "a0", "b"), "field 'label': '' is not 0 or 1"),
        (click("1", "1.5", "a0", "b"), "field 'I1': '1.5' is not an integer or nothing"),
        (click("1", "x", "a0", "b"), "field 'I1': 'x' is not an integer or nothing"),
    ],
)
def test_malformed_line_of_criteo(line: str, fault: str, tmp_path: Path) -> None:
    source = write_criteo(tmp_path / "train.txt")
    replace_line(source, 8, line.encode())
    rule = (
        "Each line must read label<TAB>I1<TAB>...<TAB>I13<TAB>C1<TAB>...<TAB>C26 with label 0 or 1"
    )
    with pytest.raises(InputError, match=says(rule, fault, "train.txt, line 8 (1 of 20 lines")):
        load_criteo(source)
    table = load_criteo(source, share=0.05)
    assert (len(table.frame), table.skipped_lines) == (19, {"train.txt": 1})


def test_line_that_is_too_long_does_not_hide_one_that_is_too_short(tmp_path: Path) -> None:
    source = write_criteo(tmp_path / "train.txt")
    replace_line(source, 4, click("1", "5", "a0", "b")[:-2].encode())
    replace_line(source, 9, click("1", "5", "a0", "b\tc").encode())
    with pytest.raises(InputError, match=says("39 of 40", "line 4 (2 of 20 lines")):
        load_criteo(source)


def test_nothing_to_train_on_or_to_hold_out(tmp_path: Path) -> None:
    source = write_criteo(tmp_path / "train.txt")
    with pytest.raises(InputError, match="sum between 0 and 1"):
        load_criteo(source, 0.5, 0.5)
    table = load_criteo(source, 0.01, 0.01)
    with pytest.raises(
        InputError, match=says("rows to hold out", "train 20, validation 0, test 0")
    ):
        prepare_clicks(table, ClickOptions(), tmp_path / "out")
    frame = _numbered(10).with_columns(label=pl.lit(2.0, pl.Float32))
    with pytest.raises(InputError, match=says("Every label must be 0 or 1", "2.0", "row 1")):
        prepare_clicks(ClickTable("t", frame), ClickOptions(), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_summary_states_features_rows_and_clicks(tmp_path: Path) -> None:
    data = prepared(ClickTable("t", _numbered(5000)), tmp_path / "out")
    assert summary(data.schema, data.folder, 1.25).splitlines() == [
        f"t in {data.folder}, 1.2 s",
        "  1 numeric features, 1 categorical ones with 7 categories in training",
        "  train: 4,000 rows, 50.0% with label 1",
        "  test: 1,000 rows, 50.0% with label 1",
        "  together: 5,000 rows",
        f"Next: python -m trainers.run --model=wide_deep --data_dir={data.folder} --model_dir=RUN",
    ]
