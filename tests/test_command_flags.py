"""What every command has in common: help, and one line on a flag that it does not have."""

from __future__ import annotations

import pytest

from tests.commands import run_module

COMMANDS = [
    *("data.prepare", "data.inspect", "data.audit", "data.infer_spec", "data.synthesize"),
    *("trainers.run", "trainers.leaderboard", "trainers.report", "trainers.tune"),
    *("trainers.verify_distributed", "trainers.measure_network", "trainers.bad_days"),
    *("serving.export", "serving.batch", "serving.client", "serving.local_server"),
    *("serving.explore", "benchmarks.run", "benchmarks.ranks", "benchmarks.serving"),
]


@pytest.mark.parametrize("command", COMMANDS)
def test_a_flag_that_is_not_there_is_one_line_and_exit_code_2(command: str) -> None:
    done = run_module(command, "--lerning_rate=1")
    assert done.returncode == 2
    assert "error: Unknown command line flag 'lerning_rate'" in done.stderr
    assert done.stderr.endswith(". See --help.\n")
    assert "Traceback" not in done.stderr
