"""Tables of results, and the command with a suite of small data."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.contenders import Target
from benchmarks.contest import Result
from benchmarks.results import table, target_line
from benchmarks.suites import SUITES


def result(*speeds: float) -> Result:
    return Result(list(speeds), [0.5] * len(speeds), steps=35, peak_bytes=2**30)


def test_a_target_compares_medians_and_shows_the_range_of_turns() -> None:
    results = {"ours": result(30, 36, 33), "other": result(10, 12, 15)}
    met = target_line(Target("ours", "other", 2.5), results)
    assert met == "\n- ours over other: 2.75 (2.20 to 3.00), at least 2.5: met"
    assert target_line(Target("ours", "other", 3), results).endswith("at least 3: MISSED")


def test_a_target_may_be_a_speed_and_one_without_contender_is_not_met() -> None:
    results = {"ours": result(3_000_000, 3_500_000, 2_000_000)}
    assert target_line(Target("ours", "", 3e6), results).endswith("at least 3,000,000: met")
    assert target_line(Target("ours", "other", 3), results).endswith("not run")


def test_the_table_names_every_contender_with_its_loss() -> None:
    suite = SUITES["dlrm_small"]
    text = table(suite, {"ours": result(30, 36, 33), "PyTorch": result(10, 12, 15)})
    assert "Median of 3 runs by turns" in text
    assert "| ours | 33 (30 to 36) | 0.5000 | 35 | 1,024 |" in text
    assert "| PyTorch | 12 (10 to 15) |" in text


def test_the_targets_name_contenders_of_their_suite() -> None:
    for suite in SUITES.values():
        names = [ours.name for ours in suite.ours] + [peer.name for peer in suite.peers]
        assert len(set(names)) == len(names)
        assert {t.ours for t in suite.targets} | {t.over for t in suite.targets} <= {"", *names}


@pytest.mark.long
def test_the_command_writes_dated_results(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.run", "--quick", "--suite=pipeline"]
    command += ["--suite=dlrm_small", f"--work_dir={tmp_path / 'work'}"]
    done = subprocess.run(
        [*command, f"--out={tmp_path}"], capture_output=True, text=True, check=True
    )
    (written,) = tmp_path.glob("*.json")
    found = json.loads(written.read_text())
    assert found["machine"]["cores"] >= 1
    ours = found["results"]["dlrm_small"]["ours"]
    assert ours["speeds"][0] > 0
    assert 0.3 < ours["losses"][0] < 0.8
    assert "trainers.run --mode=benchmark" in ours["command"]
    assert set(found["results"]["pipeline"]) == {c.name for c in SUITES["pipeline"].peers}
    text = written.with_suffix(".md").read_text()
    assert SUITES["dlrm_small"].title in text
    assert SUITES["dlrm_small"].title in done.stdout


def test_quick_refuses_suites_without_small_data(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.run", "--quick", "--suite=neumf"]
    done = subprocess.run(
        [*command, f"--work_dir={tmp_path}"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "--quick has clicks only" in done.stderr
