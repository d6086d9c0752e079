"""The page on your own table: its files and commands, as they stand."""

from __future__ import annotations

import json
import re
import shutil

import pytest

from tests.docs.pages import blocks, read_page, run_bash

PAGE = read_page("docs/your-data.md")

pytestmark = [
    pytest.mark.long,
    pytest.mark.timeout(900),  # eleven processes that load TensorFlow one after the other
    pytest.mark.skipif(not shutil.which("curl"), reason="the page asks by curl"),
]


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Returns what each of the page's blocks of commands prints, run in one folder."""
    folder = tmp_path_factory.mktemp("your_data")
    (folder / "make_sales.py").write_text(blocks(PAGE, "python")[0], encoding="utf-8")
    (folder / "features.yaml").write_text(blocks(PAGE, "yaml")[0], encoding="utf-8")
    run_bash("python make_sales.py", folder)
    return [run_bash(commands, folder) for commands in blocks(PAGE, "bash")]


def test_the_table_is_learned(printed: list[str]) -> None:
    assert "together: 12,000 rows" in printed[0]
    auc = re.search(r"^auc +(0\.\d+)", printed[0], re.MULTILINE)
    assert auc, printed[0]
    # The script's own probabilities reach .83, with noise; knowing nothing .5.
    assert float(auc[1]) > 0.7


def test_raw_values_are_answered(printed: list[str]) -> None:
    answer = json.loads(printed[1][printed[1].index("{") :])["outputs"]
    assert answer["is_known"] == [True, False]
    # Zoë 0 likes linen, at a fair price; nobody in particular buys less.
    assert answer["probability"][0] > answer["probability"][1]


def test_training_goes_on_with_a_new_month(printed: list[str]) -> None:
    assert "together: 15,000 rows" in printed[2]
    assert "warm start from RUN, step " in printed[2]
    new = re.search(r"^user +\d+ +(\d+) +0 ", printed[2], re.MULTILINE)
    assert new, printed[2]
    assert 20 <= int(new[1]) <= 40
    assert f"ids that RUN does not know: user {new[1]}" in printed[2]
    assert "Not worse: auc 0." in printed[2]
    assert "Exported to EXPORT/2; a clean process" in printed[2]
