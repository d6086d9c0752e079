"""Which rank the others wait for."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from models.communicator import Communicator
from trainers.watchdog import Watchdog, _Seen, suspects


def seen(step: int, step_ago: float, beat_ago: float) -> _Seen:
    now = time.monotonic()
    return _Seen(step, 1, "host, process 7", now - step_ago, now - beat_ago)


def test_a_silent_rank_is_named_before_those_that_are_behind() -> None:
    ranks = {0: seen(5, 40, 1), 1: seen(4, 40, 35), 2: seen(4, 40, 1)}
    assert suspects(ranks, 30) == [
        "rank 1 (host, process 7) shows no sign of life for 35 s, at step 4"
    ]


def test_a_rank_behind_is_named_where_all_show_life() -> None:
    ranks = {0: seen(5, 40, 1), 1: seen(4, 45, 1)}
    assert suspects(ranks, 30) == ["rank 1 (host, process 7) is at step 4 for 45 s, others at 5"]
    assert suspects(ranks, 60) == []


def test_ranks_that_work_together_on_something_long_are_not_suspected() -> None:
    assert suspects({rank: seen(5, 900, 1) for rank in range(3)}, 30) == []


def test_its_files_go_when_it_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("trainers.watchdog._BEAT_SECONDS", 0.01)
    world = Communicator()
    world.size = 2
    with Watchdog(tmp_path, world, lambda: 3):
        while '"step": 3' not in _content(tmp_path / ".ranks" / "0"):
            time.sleep(0.01)
    assert list((tmp_path / ".ranks").iterdir()) == []
    assert capsys.readouterr().err == ""


def test_a_rank_that_cannot_write_its_file_judges_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    exits: list[int] = []
    monkeypatch.setattr("trainers.watchdog._BEAT_SECONDS", 0.01)
    monkeypatch.setattr("trainers.watchdog.os._exit", exits.append)
    monkeypatch.setenv("HOROVOD_STALL_CHECK_TIME_SECONDS", "0.05")
    monkeypatch.setenv("HOROVOD_STALL_SHUTDOWN_TIME_SECONDS", "0.1")
    (tmp_path / ".ranks").write_text("in the way, as a full disk is")
    world = Communicator()
    world.size = 2
    with Watchdog(tmp_path, world, lambda: 3) as watchdog:
        _wait_for_beats(watchdog, 50)
        assert exits == []
        (tmp_path / ".ranks").unlink()
        _wait_for_beats(watchdog, 100)
    assert exits  # now that it can write: the other rank has shown no sign of life
    assert "waiting: rank 1 (never seen) shows no sign of life" in capsys.readouterr().err


def _wait_for_beats(watchdog: Watchdog, number: int) -> None:
    while watchdog._beats < number:
        assert watchdog._thread.is_alive()
        time.sleep(0.01)


def _content(path: Path) -> str:
    return path.read_text() if path.exists() else ""
