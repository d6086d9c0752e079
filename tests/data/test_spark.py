"""Spark and the local engine write the same dataset; a real Spark with two workers is started."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from data.blocks import Ragged
from data.dataset import PreparedDataset
from data.engine import regrouping
from data.engine.engines import Engine, LocalEngine, SparkEngine
from data.engine.prepare_table import prepare_table
from data.engine.stages import TableOptions
from data.errors import InputError
from data.spec.parsing import load_spec, parse_spec
from data.spec.table_spec import TableSpec
from data.spec_flags import SHIPPED
from tests.data import nasty_table

pytestmark = pytest.mark.skipif(not shutil.which("java"), reason="Spark needs Java")


@pytest.fixture(scope="module")
def spark() -> Iterator[SparkEngine]:
    pytest.importorskip("pyspark")
    engine = SparkEngine("local[2]")
    yield engine
    engine.close()


def prepare(engine: Engine, spec: TableSpec, source: Path, out: Path) -> PreparedDataset:
    # Small parts, of which there are several a file.
    prepare_table(spec, str(source), TableOptions(part_bytes=1 << 15), out, engine)
    return PreparedDataset(out)


def row_texts(data: PreparedDataset, view: str, split: str) -> list[str]:
    """Returns the rows of a split as sorted texts: a multiset."""
    columns = []
    for name, values in sorted(data.read(view, split).items()):
        if isinstance(values, Ragged):
            parts = np.split(values.values, values.offsets()[1:-1])
            columns.append([f"{name}={part.tolist()}" for part in parts])
        else:
            columns.append([f"{name}={value!r}" for value in values.tolist()])
    return sorted(" ".join(row) for row in zip(*columns, strict=True))


def assert_same(ours: PreparedDataset, theirs: PreparedDataset) -> None:
    names = sorted(path.name for path in (ours.folder / "vocab").iterdir())
    assert names == sorted(path.name for path in (theirs.folder / "vocab").iterdir())
    for name in names:
        both = [(data.folder / "vocab" / name).read_bytes() for data in (ours, theirs)]
        assert both[0] == both[1], name
    assert ours.schema.features == theirs.schema.features
    assert ours.schema.crosses == theirs.schema.crosses
    assert ours.schema.candidates == theirs.schema.candidates
    assert ours.schema.views.keys() == theirs.schema.views.keys()
    for name, view in ours.schema.views.items():
        assert view.splits.keys() == theirs.schema.view(name).splits.keys()
        for split in view.splits:
            assert row_texts(ours, name, split) == row_texts(theirs, name, split)


@pytest.fixture
def both(spark: SparkEngine, tmp_path: Path) -> Callable[[TableSpec, Path], None]:
    def check(spec: TableSpec, source: Path) -> None:
        engines: dict[str, Engine] = {"local": LocalEngine(2), "spark": spark}
        found = [prepare(engine, spec, source, tmp_path / n) for n, engine in engines.items()]
        assert len(found[0].paths("rows", "train")) > 1
        assert_same(*found)

    return check


def test_a_nasty_table_in_several_files(
    both: Callable[[TableSpec, Path], None], tmp_path: Path
) -> None:
    folder = tmp_path / "source"
    folder.mkdir()
    table = nasty_table.rows(900)
    nasty_table.write(folder / "a.csv", table[:500])
    nasty_table.write(folder / "b.csv.gz", table[500:], columns=sorted(table[0]))
    both(parse_spec(nasty_table.SPEC, "nasty"), folder)


def test_criteo(
    both: Callable[[TableSpec, Path], None], real_data: Callable[[str], Path], tmp_path: Path
) -> None:
    lines = (real_data("criteo-sample") / "train.txt").read_bytes().splitlines(keepends=True)
    source = tmp_path / "train.txt"
    source.write_bytes(b"".join(lines[:3000]))
    both(load_spec(SHIPPED / "criteo.yaml"), source)


def test_movielens(
    both: Callable[[TableSpec, Path], None], real_data: Callable[[str], Path], tmp_path: Path
) -> None:
    lines = (real_data("ml-1m") / "ratings.dat").read_bytes().splitlines(keepends=True)
    source = tmp_path / "ratings.dat"
    source.write_bytes(b"".join(lines[:20_000]))
    both(load_spec(SHIPPED / "movielens_1m_clicks.yaml"), source)


def test_histories_of_movielens(
    both: Callable[[TableSpec, Path], None],
    real_data: Callable[[str], Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(regrouping, "_GROUP_ROWS", 5_000)
    source = tmp_path / "ml-1m"
    shutil.copytree(real_data("ml-1m"), source)
    lines = (source / "ratings.dat").read_bytes().splitlines(keepends=True)
    (source / "ratings.dat").write_bytes(b"".join(lines[:20_000]))
    both(load_spec(SHIPPED / "movielens_1m.yaml"), source)


def test_what_a_worker_refuses_is_said_in_one_line(spark: SparkEngine, tmp_path: Path) -> None:
    table = nasty_table.rows(20)
    table[7]["price"] = "cheap"
    source = nasty_table.write(tmp_path / "a.csv", table)
    with pytest.raises(InputError, match=r"'price': 'cheap' is not a finite number.*a\.csv, line"):
        prepare(spark, parse_spec(nasty_table.SPEC, "nasty"), source, tmp_path / "out")
    assert not (tmp_path / "out").exists()
