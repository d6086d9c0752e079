"""Folders and files are whole or absent, whatever other processes do or did beside them."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from data.atomic import atomic_folder, clear_leftovers, write_text
from data.errors import InputError
from data.output import check_output
from tests.data.raw_files import says


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def fill(folder: Path, text: str) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "file").write_text(text)
    return folder


def test_what_a_killed_writer_left_goes_and_a_living_one_keeps_its_own(tmp_path: Path) -> None:
    out = tmp_path / "out"
    fill(tmp_path / ".out.partial-1", "of process 1, which lives in every container")
    slow = atomic_folder(out)
    slow_folder = slow.__enter__()
    assert names(tmp_path) == [slow_folder.name]
    with atomic_folder(out) as fast:
        assert names(tmp_path) == sorted([slow_folder.name, fast.name])
        fill(fast, "fast")
    with pytest.raises(InputError, match="must not exist yet"):
        slow.__exit__(None, None, None)
    assert names(tmp_path) == ["out"]
    assert (out / "file").read_text() == "fast"
    assert out.stat().st_mode == fill(tmp_path / "plain", "").stat().st_mode


def test_old_folder_returns_where_the_new_one_cannot_take_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, rename = fill(tmp_path / "out", "old"), Path.rename

    def failing(self: Path, target: Path) -> Path:
        if ".partial-" in self.name and target == out:
            raise OSError("no more")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", failing)
    with pytest.raises(OSError, match="no more"), atomic_folder(out, overwrite=True) as partial:
        fill(partial, "new")
    assert names(tmp_path) == ["out"]
    assert (out / "file").read_text() == "old"


def test_overwriting_killed_between_its_renames_is_undone(tmp_path: Path) -> None:
    out = tmp_path / "out"
    fill(tmp_path / ".out.replaced-1", "old")
    clear_leftovers(out)
    assert names(tmp_path) == ["out"]
    assert (out / "file").read_text() == "old"
    fill(tmp_path / ".out.replaced-1", "older")
    clear_leftovers(out)
    assert names(tmp_path) == ["out"]
    assert (out / "file").read_text() == "old"


def test_overwriting_hides_nothing_from_others_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, rename = fill(tmp_path / "out", "old"), Path.rename

    def watched(self: Path, target: Path) -> Path:
        moved = rename(self, target)
        if ".replaced-" in target.name:
            clear_leftovers(out)  # as another process would between the two renames
            assert not out.exists()
        return moved

    monkeypatch.setattr(Path, "rename", watched)
    with atomic_folder(out, overwrite=True) as partial:
        fill(partial, "new")
    assert names(tmp_path) == ["out"]
    assert (out / "file").read_text() == "new"


def test_half_removed_folder_never_comes_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = fill(tmp_path / "out", "old")
    (out / "second").write_text("old")

    def killed(folder: Path, **_: Any) -> None:
        (folder / "second").unlink(missing_ok=True)

    with monkeypatch.context() as patch, atomic_folder(out, overwrite=True) as partial:
        patch.setattr(shutil, "rmtree", killed)
        fill(partial, "new")
    assert len(names(tmp_path)) == 2
    shutil.rmtree(out)
    clear_leftovers(out)
    assert names(tmp_path) == []


def test_folder_that_cannot_be_written(tmp_path: Path) -> None:
    fill(tmp_path, "a file")
    found = says("must be a folder that can be written", "file/x", "Choose another folder")
    with pytest.raises(InputError, match=found), atomic_folder(tmp_path / "file" / "x"):
        pass


def test_failed_write_of_a_file_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(self: Path, target: Path) -> Path:
        raise OSError("no more")

    write_text(tmp_path / "t", "old")
    monkeypatch.setattr(Path, "replace", failing)
    with pytest.raises(OSError, match="no more"):
        write_text(tmp_path / "t", "new")
    assert names(tmp_path) == ["t"]
    assert (tmp_path / "t").read_text() == "old"


def test_a_folder_that_cannot_be_written_is_told_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    for folder in (Path("/proc/out"), tmp_path / "file" / "out"):
        found = says("must be a folder that can be written", str(folder.parent), "permissions")
        with pytest.raises(InputError, match=found):
            check_output(folder / "data", overwrite=False)
    check_output(tmp_path / "new" / "data", overwrite=False)
    assert names(tmp_path) == ["file"]
