"""How `data.infer_spec` finds the layout of a text and its label, and what it refuses."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from data.errors import InputError
from data.feature import Kind
from data.inference.propose import propose_spec
from data.spec.parsing import load_spec
from tests.data.inferring import infer, of, prepare, why
from tests.data.raw_files import says
from tests.data.test_shipped_specs import write_adult, write_criteo

REPOSITORY = Path(__file__).parents[2]


def test_adult_needs_no_header(tmp_path: Path) -> None:
    source = write_adult(tmp_path / "adult") / "adult.data"
    spec, text = infer(source)
    assert (spec.source.header, spec.source.strip, spec.source.missing) == (False, True, ("?",))
    assert of(spec, "label").positive == (">50K",)
    assert of(spec, "label").negative == ("<=50K",)
    assert "check" in why(text, "label")
    assert prepare(spec, source).schema.feature("column_14").kind is Kind.CATEGORICAL


def test_criteo_needs_no_header(tmp_path: Path) -> None:
    source = write_criteo(tmp_path / "train.txt")
    spec, _ = infer(source)
    assert (spec.source.format, len(spec.source.columns)) == ("tsv", 40)
    assert of(spec, "label").column == "column_1"
    prepare(spec, source)


@pytest.mark.parametrize(
    ("content", "source", "values"),
    [
        ("y;v\n1;a\n0;b b\n1;a\n0;c\n", {"separator": ";"}, ["a", "b b", "c"]),
        ('y\tv\n1\t5" a\n0\tb\n1\tb\n0\tc\n', {"quote": "", "separator": "\t"}, ['5" a', "b", "c"]),
        ("# of 2024\ny,v\n1,a\n0,b\n1,c\n0,c\n", {"comment": "#"}, ["a", "b", "c"]),
        ("y,v\n1,é\n0,b\n1,c\n0,c\n", {"encoding": "latin-1"}, ["b", "c", "é"]),
    ],
)
def test_layout_of_a_text_is_found(
    content: str, source: dict[str, object], values: list[str], tmp_path: Path
) -> None:
    encoding = str(source.get("encoding", "utf-8"))
    (tmp_path / "t.csv").write_bytes(content.encode(encoding))
    spec, _ = infer(tmp_path / "t.csv")
    assert {key: getattr(spec.source, key) for key in source} == source
    held_out = replace(spec, split=replace(spec.split, method="position", validation=0, test=0.25))
    data = prepare(held_out, tmp_path / "t.csv")
    assert set(data.raw_ids("v")) <= set(values)
    assert len(data.raw_ids("v")) >= 2


def test_column_that_names_the_split_is_no_feature(tmp_path: Path) -> None:
    rows = [f"{n % 2},{n % 5},{'test' if n > 30 else 'train'}" for n in range(40)]
    (tmp_path / "t.csv").write_text("y,v,split\n" + "\n".join(rows) + "\n")
    spec, _ = infer(tmp_path / "t.csv")
    assert (spec.split.method, spec.split.column) == ("column", "split")
    assert [feature.name for feature in spec.features] == ["label", "v"]
    assert prepare(spec, tmp_path / "t.csv").split("rows", "test").rows == 9


@pytest.mark.parametrize(
    ("values", "settings"),
    [
        (["1", "2", "3", "4", "5"], {"above": 3.0}),
        (["1", "2", "3", "4"], {"above": 2.5}),
        (["-1", "1"], {"positive": ("1",), "negative": ("-1",)}),
        (["no", "yes"], {"positive": ("yes",), "negative": ("no",)}),
        (["ham", "ham", "spam"], {"positive": ("spam",), "negative": ("ham",)}),
    ],
)
def test_label_is_made_of_what_there_is(
    values: list[str], settings: dict[str, object], tmp_path: Path
) -> None:
    rows = [f"{values[n % len(values)]},{n % 7}" for n in range(60)]
    (tmp_path / "t.csv").write_text("truth,v\n" + "\n".join(rows) + "\n")
    spec, _ = infer(tmp_path / "t.csv", "truth")
    assert {key: getattr(of(spec, "label"), key) for key in settings} == settings
    prepare(spec, tmp_path / "t.csv")


@pytest.mark.parametrize(
    ("content", "label", "message"),
    [
        ("a,b\nx,1\ny,2\nz,3\n", None, says("none that looks like one", "--label=COLUMN")),
        ("a,b\n0,1\n1,0\n1,1\n", None, says("several that could be it", "'a', 'b'")),
        ("a,b\nx,1\ny,2\nz,3\n", "c", says("--label must name a column", "'c'", "Known: a, b")),
        ("a,b\nx,1\ny,2\nz,3\n", "a", says("two values, or be a number", "3 values", "'a'")),
        ("a,b\nx,1\ny,1\nz,1\n", "b", says("two values, or be a number", "1 values", "'b'")),
        ("y,b\n1,1\n0,2\n1\n", None, says("Each line must read y,b", "1 of 2 fields", "line 4")),
        ("", None, says("must hold at least one line", "t.csv")),
        ("y,b\n", None, says("must hold at least one row", "t.csv")),
    ],
)
def test_what_cannot_be_proposed_is_said(
    content: str, label: str | None, message: str, tmp_path: Path
) -> None:
    (tmp_path / "t.csv").write_text(content)
    with pytest.raises(InputError, match=message):
        propose_spec(str(tmp_path / "t.csv"), label, 1_000)


def test_rows_without_a_label_are_told(tmp_path: Path) -> None:
    rows = [f"{['1', '0', ''][n % 3]},{n % 7}" for n in range(60)]
    (tmp_path / "t.csv").write_text("y,v\n" + "\n".join(rows) + "\n")
    _, text = infer(tmp_path / "t.csv", "y")
    assert "20 rows lack it and are refused" in why(text, "label")


def test_command_writes_a_file_once(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("y,v\n" + "1,a\n0,b\n" * 30)
    out = tmp_path / "new" / "features.yaml"
    twice = (
        "import sys; from absl import flags; from data import infer_spec\n"
        "flags.FLAGS(sys.argv)\n"
        "try: infer_spec.main([])\n"
        "except SystemExit as end: print('failed' if end.code else 'again', file=sys.stderr)\n"
        "infer_spec.main([])"
    )
    command = [sys.executable, "-c", twice, f"--source={tmp_path}/t.csv", f"--out={out}"]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 2
    first, _, second = done.stderr.partition("again\n")
    assert "error:" not in first
    assert second.startswith("error: --out must not exist yet")
    assert f"python -m data.prepare --spec={out} --source=" in done.stdout
    assert [path.name for path in out.parent.iterdir()] == ["features.yaml"]
    assert load_spec(out).features[0].kind is Kind.LABEL


def test_epochs_are_times_where_the_file_names_no_column(tmp_path: Path) -> None:
    rows = [f"{n % 7}\t{n % 11}\t{n % 5 + 1}\t{881250949 + n}" for n in range(100)]
    (tmp_path / "u.data").write_text("\n".join(rows) + "\n")
    spec, text = infer(tmp_path / "u.data", "column_3")
    assert (spec.source.separator, spec.source.header) == ("\t", False)
    assert (of(spec, "time").column, of(spec, "time").type) == ("column_4", "int64")
    assert "seconds: 881250949 to 881251048" in why(text, "time")
    assert spec.split.method == "position"
    assert prepare(spec, tmp_path / "u.data").split("rows", "test").rows == 8
