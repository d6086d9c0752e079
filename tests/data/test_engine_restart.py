"""What an interrupted preparation leaves, what a finished one does again, and added rows."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from data.blocks import Ragged
from data.dataset import PreparedDataset
from data.engine import parsing
from data.engine.engines import LocalEngine
from data.engine.prepare_table import prepare_table
from data.engine.stages import TableOptions
from data.errors import InputError
from data.spec.parsing import parse_spec
from tests.data import nasty_table
from tests.data.raw_files import says

SPEC = parse_spec(nasty_table.SPEC, "nasty")
SMALL = TableOptions(part_bytes=1 << 14)


def prepare(source: Path, out: Path, options: TableOptions = SMALL) -> list[str]:
    """Prepares a source. Returns what was reported."""
    lines: list[str] = []
    prepare_table(SPEC, str(source), options, out, LocalEngine(1), report=lines.append)
    return lines


def contents(folder: Path) -> dict[str, bytes]:
    """Returns all of a dataset but `schema.json`, which names its folder."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != "schema.json")
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_what_is_parsed_is_not_parsed_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = nasty_table.write(tmp_path / "a.csv", nasty_table.rows(900))
    made = 0
    make = parsing.make_part

    def count(spec: object, frame: object, file: str) -> object:
        nonlocal made
        made += 1
        if made == breaks_at:
            raise RuntimeError("power cut")
        return make(spec, frame, file)  # type: ignore[arg-type]

    monkeypatch.setattr(parsing, "make_part", count)
    breaks_at = 0
    prepare(source, tmp_path / "whole")
    parts, breaks_at = made, made + 3
    with pytest.raises(RuntimeError, match="power cut"):
        prepare(source, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    prepare(source, tmp_path / "out")
    assert made == parts + parts + 1  # the third part twice, none of the others
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.csv", "out", "whole"]


def test_kill_in_the_middle_and_the_same_command_again(tmp_path: Path) -> None:
    source = tmp_path / "big.csv"
    nasty_table.write(source, nasty_table.rows(2_000))
    body = source.read_bytes().split(b"\n", 1)[1]
    with source.open("ab") as file:
        for _ in range(16):
            file.write(body)
    spec = tmp_path / "features.yaml"
    spec.write_text(as_yaml())
    flags = [f"--spec={spec}", f"--source={source}", "--part_mib=1", "--workers=1"]
    command = [sys.executable, "-m", "data.prepare", *flags]
    process = subprocess.Popen([*command, f"--out={tmp_path}/out"], stderr=subprocess.DEVNULL)
    while len(list(tmp_path.glob(".out.work-*/part-*.arrow"))) < 3:
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "out").exists()
    assert len(list(tmp_path.glob(".out.work-*/part-*.arrow"))) >= 3
    for out in ("out", "whole"):
        subprocess.run([*command, f"--out={tmp_path}/{out}"], check=True, capture_output=True)
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


def as_yaml() -> str:
    import yaml

    return yaml.safe_dump(nasty_table.SPEC, sort_keys=False, allow_unicode=True)


def test_finished_run_does_nothing_until_something_changes(tmp_path: Path) -> None:
    source = nasty_table.write(tmp_path / "a.csv", nasty_table.rows(200))
    prepare(source, tmp_path / "out")
    written = (tmp_path / "out" / "schema.json").stat().st_mtime_ns
    assert "nothing to do" in prepare(source, tmp_path / "out")[0]
    assert (tmp_path / "out" / "schema.json").stat().st_mtime_ns == written
    nasty_table.write(source, nasty_table.rows(201))
    with pytest.raises(InputError, match="must not exist yet"):
        prepare(source, tmp_path / "out")
    with pytest.raises(InputError, match="must not exist yet"):
        prepare(source, tmp_path / "out", TableOptions(seed=1, part_bytes=SMALL.part_bytes))


def raw(data: PreparedDataset, feature: str) -> list[object]:
    return data.raw_ids(feature).tolist()


def test_added_rows_keep_ids_and_what_was_fitted(tmp_path: Path) -> None:
    first, second = nasty_table.rows(500), nasty_table.rows(400, seed=1)
    for row in second:
        row["product"] = f"new-{row['product']}" if row["product"] < "p2" else row["product"]
        row["price"] = "4000"
    nasty_table.write(tmp_path / "a.csv", first)
    nasty_table.write(tmp_path / "b.csv", second)
    prepare(tmp_path / "a.csv", tmp_path / "one")
    appended = TableOptions(part_bytes=1 << 14, append=str(tmp_path / "one"))
    prepare(tmp_path / "b.csv", tmp_path / "both", appended)
    one, both = (PreparedDataset(tmp_path / name) for name in ("one", "both"))
    for name in ("user", "item", "tags"):
        assert raw(both, name)[: len(raw(one, name))] == raw(one, name)
    new = raw(both, "item")[len(raw(one, "item")) :]
    assert any(str(item).startswith("new-") for item in new)
    assert not set(new) & set(raw(one, "item"))
    assert len(raw(both, "colour")) == 5  # top bounds old and new together
    for name in ("price", "stock"):
        assert both.schema.feature(name) == one.schema.feature(name)
    for split in ("train", "validation", "test"):
        before, now = one.read("rows", split), both.read("rows", split)
        assert len(now["user"]) > len(before["user"])
        for name, values in before.items():
            if isinstance(values, Ragged):
                continue
            np.testing.assert_array_equal(now[name][: len(values)], values)  # type: ignore[index]
    total = sum(split.rows for split in both.schema.view("rows").splits.values())
    assert total == 900
    assert (tmp_path / "one" / "schema.json").is_file()


def test_rows_are_added_to_a_dataset_of_the_same_spec_only(tmp_path: Path) -> None:
    source = nasty_table.write(tmp_path / "a.csv", nasty_table.rows(200))
    prepare(source, tmp_path / "one")
    features = {**nasty_table.FEATURES, "stock": {"kind": "numeric"}}
    other = parse_spec({**nasty_table.SPEC, "features": features}, "other")
    options = TableOptions(append=str(tmp_path / "one"))
    with pytest.raises(InputError, match=says("the same features and crosses", "another spec")):
        prepare_table(other, str(source), options, tmp_path / "two", LocalEngine(1))
    assert not (tmp_path / "two").exists()
