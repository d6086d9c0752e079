"""The specs that are shipped, on files in the form in which their makers give them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from data.dataset import PreparedDataset
from data.errors import InputError
from data.schema import Kind
from data.spec.parsing import load_spec
from data.spec_flags import SHIPPED
from tests.data.raw_files import replace_line, says
from tests.data.spec_tables import prepare_shipped

NUMBERS = ["age", "fnlwgt", "education_num", "capital_gain", "capital_loss", "hours_per_week"]
PERSON = "39, {}, 77516, Bachelors, 13, Never-married, ?, Husband, White, Male, 2174, 0, 40, {}, {}"


def person(work: str = "Private", land: str = "Cuba", label: str = "<=50K") -> str:
    return PERSON.format(work, land, label) + "\n"


def write_adult(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    rows = [person("?", f"L{n}", ">50K" if n % 4 == 0 else "<=50K") for n in range(40)]
    (folder / "adult.data").write_text("".join(rows) + "\n")
    tests = [person("State-gov", "L0", ">50K."), person("Private", "Mars", "<=50K.")]
    (folder / "adult.test").write_text("|1x3 Cross validator\n" + "".join(tests) + "\n")
    (folder / "adult.names").write_text("what the columns are\n")
    return folder


def click(label: str, first: str, category: str, last: str) -> str:
    return "\t".join([label, first, *["7"] * 12, category, *["68fd1e64"] * 24, last])


def write_criteo(path: Path) -> Path:
    rows = [click(str(n % 2), str(n - 1), f"a{n % 5 // 2}", "") for n in range(20)]
    rows[3] = click("1", "", "", "e5ba7672")
    path.write_text("\n".join(rows) + "\n")
    return path


def column(data: PreparedDataset, split: str, name: str) -> np.ndarray:
    values = data.read("rows", split)[name]
    assert isinstance(values, np.ndarray)
    return values


@pytest.mark.parametrize("path", sorted(SHIPPED.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_shipped_spec_is_a_spec(path: Path) -> None:
    assert load_spec(path).name == path.stem


def test_adult_is_read_as_uci_gives_it(tmp_path: Path) -> None:
    data = prepare_shipped("adult", write_adult(tmp_path / "adult"), tmp_path / "out")
    schema = data.schema
    names = [c.name for c in schema.view("rows").columns]
    assert names[:7] == ["label", *NUMBERS]
    kinds = [schema.feature(name).kind for name in names]
    assert kinds == [Kind.LABEL] + [Kind.NUMERIC] * 6 + [Kind.CATEGORICAL] * 8
    splits = schema.view("rows").splits
    assert splits["train"].rows + splits["validation"].rows == 40
    assert 1 <= splits["validation"].rows <= 10
    assert data.raw_ids("workclass").tolist() == []  # missing in training, so never an entry
    assert data.raw_ids("race").tolist() == ["White"]
    assert column(data, "test", "workclass").tolist() == [1, 1]
    assert column(data, "test", "label").tolist() == [1, 0]
    assert column(data, "test", "native_country")[1] == 1
    assert column(data, "test", "age").tolist() == [39, 39]
    assert set(schema.provenance["files"]) == {"adult.data", "adult.test"}


def test_criteo_is_split_by_position_and_missing_numbers_are_zero(tmp_path: Path) -> None:
    data = prepare_shipped("criteo", write_criteo(tmp_path / "train.txt"), tmp_path / "out")
    assert [data.split("rows", s).rows for s in ("train", "validation", "test")] == [16, 2, 2]
    assert column(data, "validation", "I1").tolist() == [15, 16]
    assert column(data, "test", "I1").tolist() == [17, 18]
    train = np.array([-1, 0, 1, 0, *range(3, 15)])  # line 4 has none
    assert sorted(column(data, "train", "I1").tolist()) == sorted(train.tolist())
    feature = data.schema.feature("I1")
    assert feature.default == 0
    assert feature.statistics is not None
    assert feature.statistics.mean == pytest.approx(train.mean())
    assert feature.statistics.minimum == -1  # minus one is a number, as in Criteo's I2
    assert [t.name for t in feature.transforms] == ["log1p"]
    names = [c.name for c in data.schema.view("rows").columns]
    assert names == ["label", *(f"I{n}" for n in range(1, 14)), *(f"C{n}" for n in range(1, 27))]
    # Of 16 training rows a0 has 7, a1 has 5, a2 has 3, too few; one has none.
    assert data.raw_ids("C1").tolist() == ["a0", "a1"]
    assert (column(data, "train", "C1") == 1).sum() == 4


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        (person()[:-8], "14 of 15 fields"),
        (person().strip() + ", 1", "16 of 15 fields"),
        (person(label="50K"), "field 'income': ' 50K' is not a label"),
        (person(label=""), "'; income is empty"),
        (person().replace("77516", "many"), "field 'fnlwgt': ' many' is not a finite number"),
        (person().replace("77516", "inf"), "field 'fnlwgt': ' inf' is not a finite number"),
        (person().replace("77516", "1e39"), "field 'fnlwgt': ' 1e39' is not a finite number"),
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
        prepare_shipped("adult", folder, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    data = prepare_shipped("adult", folder, tmp_path / "out", max_bad_lines=0.5)
    assert data.schema.facts["preparation"]["skipped_lines"] == 1
    assert sum(split.rows for split in data.schema.view("rows").splits.values()) == 41


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        (click("1", "5", "a0", "b")[:-2], "39 of 40 fields"),
        (click("1", "5", "a0", "b\tc"), "41 of 40 fields"),
        (click("2", "5", "a0", "b"), "field 'label': '2' is not a label"),
        (click("", "5", "a0", "b"), "'; label is empty"),
        (click("1", "x", "a0", "b"), "field 'I1': 'x' is not a finite number"),
    ],
)
def test_malformed_line_of_criteo(line: str, fault: str, tmp_path: Path) -> None:
    source = write_criteo(tmp_path / "train.txt")
    replace_line(source, 8, line.encode())
    place = "train.txt, line 8 (1 of 20 lines"
    with pytest.raises(InputError, match=says("label<TAB>I1<TAB>...", fault, place)) as told:
        prepare_shipped("criteo", source, tmp_path / "out")
    assert len(str(told.value)) < 1_000  # whatever the number of columns


def test_line_that_is_too_long_does_not_hide_one_that_is_too_short(tmp_path: Path) -> None:
    source = write_criteo(tmp_path / "train.txt")
    replace_line(source, 4, click("1", "5", "a0", "b")[:-2].encode())
    replace_line(source, 9, click("1", "5", "a0", "b\tc").encode())
    with pytest.raises(InputError, match=says("39 of 40", "line 4 (2 of 20 lines")):
        prepare_shipped("criteo", source, tmp_path / "out")
