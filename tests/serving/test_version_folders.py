"""Which folders are versions: those that TF Serving takes for such."""

from __future__ import annotations

from pathlib import Path

import pytest
from test_versions import answer, managed, publish, states

from data.errors import InputError
from serving.publishing import ExportOptions
from serving.publishing import publish as publish_export
from serving.server.model_spec import ModelSpec
from serving.server.settings import ModelConfig
from serving.server.states import State
from serving.versions import MAX_VERSION, version_folders
from tests.commands import run_module


def test_versions_are_whole_numbers_of_64_bits(tmp_path: Path) -> None:
    others = [str(MAX_VERSION + 1), "9" * 30, "-1", "1.0", "٣", ".8", "x"]
    for name in ["0", "7", str(MAX_VERSION), *others]:
        (tmp_path / name).mkdir()
    (tmp_path / "12").write_text("a file")
    assert version_folders(tmp_path) == {
        0: tmp_path / "0",
        7: tmp_path / "7",
        MAX_VERSION: tmp_path / str(MAX_VERSION),
    }


def test_a_folder_of_a_larger_number_breaks_no_answer(tmp_path: Path) -> None:
    publish(tmp_path, 1)
    publish(tmp_path, 2)
    (tmp_path / "2").rename(tmp_path / str(MAX_VERSION + 1))
    with managed(m=ModelConfig(tmp_path)) as manager:
        assert states(manager) == {1: State.AVAILABLE}
        assert answer(manager, ModelSpec("m")) == 1


def test_of_two_names_of_one_version_the_last_counts_and_it_is_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("7", "007", "07"):
        (tmp_path / name).mkdir()
    for _ in range(3):
        assert version_folders(tmp_path) == {7: tmp_path / "7"}
    assert [record.getMessage() for record in caplog.records] == [
        f"Version 7 is taken from {tmp_path}/07; {tmp_path}/007 is ignored",
        f"Version 7 is taken from {tmp_path}/7; {tmp_path}/07 is ignored",
    ]


def write_nothing(folder: Path, scratch: Path) -> None:
    raise AssertionError("nothing is to be written")


@pytest.mark.parametrize(
    ("present", "wanted", "message"),
    [
        ("007", 7, "never changes a published version. Received: .*007"),
        (str(MAX_VERSION), None, f"A version must be at most {MAX_VERSION}, as servers count"),
        ("1", MAX_VERSION + 1, f"A version must be at most {MAX_VERSION}, as servers count"),
    ],
)
def test_no_version_is_published_that_a_server_would_not_find(
    tmp_path: Path, present: str, wanted: int | None, message: str
) -> None:
    (tmp_path / present).mkdir()
    with pytest.raises(InputError, match=message):
        publish_export(tmp_path, ExportOptions(version=wanted), write_nothing)


def test_the_flag_says_which_versions_there_are(tmp_path: Path) -> None:
    flags = [f"--model_dir={tmp_path}", f"--export_dir={tmp_path}", f"--version={MAX_VERSION + 1}"]
    done = run_module("serving.export", *flags)
    assert done.returncode == 2
    assert str(MAX_VERSION) in done.stderr
    assert "Traceback" not in done.stderr
