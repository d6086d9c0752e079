"""The page to start with, docs/index.md: its commands, as they stand."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs.pages import blocks, read_page, run_bash

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]


def test_commands_lead_to_an_export(tmp_path: Path) -> None:
    (commands,) = blocks(read_page("docs/index.md"), "bash")
    printed = run_bash(commands, tmp_path)
    assert "best reachable" in printed
    assert (tmp_path / "EXPORT" / "1" / "saved_model.pb").is_file()
    for command in ("serving.local_server", "serving.client"):
        assert f"python -m {command}" in printed
