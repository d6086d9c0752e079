"""The page on adding a model: followed to the letter in a copy of the repository."""

from __future__ import annotations

import importlib
import json
import re
import shutil
from pathlib import Path

import pytest
import tensorflow as tf

from data.dataset import PreparedDataset
from data.pipeline import make_dataset
from tests.docs.pages import REPOSITORY, blocks, read_page, run_bash

PAGE = read_page("docs/add-a-model.md")
COPIED = ("configs", "data", "models", "serving", "trainers", "tests/models", "tests/data")
COPIED_FILES = ("pyproject.toml", "tests/__init__.py", "tests/conftest.py")
MOST_LINES = 80

pytestmark = pytest.mark.timeout(900)  # seven processes that load TensorFlow one after the other


def files() -> dict[str, str]:
    """Returns the new files, by the path that the heading above each one names."""
    headings = re.findall(r"^## .*`(\S+\.py)`\n(?:(?!^## ).*\n)*?```python\n", PAGE, re.MULTILINE)
    return dict(zip(headings, blocks(PAGE, "python"), strict=True))


def patched(registry: str) -> str:
    """Returns the registry with each added line of the page's diff below the line it follows."""
    (diff,) = blocks(PAGE, "diff")
    lines = registry.splitlines()
    place = -1
    for line in diff.splitlines():
        if line.startswith(" "):
            (place,) = (n for n, known in enumerate(lines) if known == line[1:])
        else:
            place += 1
            lines.insert(place, line[1:])
    return "\n".join(lines) + "\n"


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory, synthetic_data: PreparedDataset) -> Path:
    """Returns a copy of the repository with the page's model in it."""
    folder = tmp_path_factory.mktemp("copy")
    for room in COPIED:
        ignored = shutil.ignore_patterns("__pycache__", "*.so")
        shutil.copytree(REPOSITORY / room, folder / room, ignore=ignored)
    for file in COPIED_FILES:
        shutil.copy(REPOSITORY / file, folder / file)
    for path, text in files().items():
        assert not (REPOSITORY / path).exists(), "the page must add a model that is not there"
        (folder / path).write_text(text)
    registry = folder / "configs" / "registry.py"
    registry.write_text(patched(registry.read_text()))
    (folder / "DATA").symlink_to(synthetic_data.folder)
    return folder


def bash(commands: str, copy: Path) -> str:
    return run_bash(commands, copy, code=copy)


def test_a_model_takes_fewer_lines_than_promised() -> None:
    (diff,) = blocks(PAGE, "diff")
    added = [line for line in diff.splitlines() if line.startswith("+")]
    code = [line for text in files().values() for line in text.splitlines()]
    assert list(files()) == ["models/bpr.py", "configs/bpr.py"]
    assert 0 < len([line for line in code if line.strip()]) + len(added) < MOST_LINES


@pytest.mark.long
def test_the_commands_train_evaluate_and_export_it(copy: Path) -> None:
    prepare, commands = blocks(PAGE, "bash")[0].split("\n", 1)
    assert prepare == "python -m data.prepare --dataset=synthetic --out=DATA"
    printed = bash(commands, copy)
    results = json.loads((copy / "RUN" / "metrics.json").read_text())
    for metric in ("ndcg@10/full", "ndcg@10/sampled99", "ndcg@100/full"):
        assert results["metrics"][metric] > 1.2 * results["baseline"]["metrics"][metric]
    assert re.search(r"^RUN +bpr/default +0\.\d{4} ", printed, re.MULTILINE)
    assert "a clean process gave the trainer's scores" in printed
    assert (copy / "EXPORT" / "1" / "saved_model.pb").is_file()


@pytest.mark.long
def test_it_passes_the_contract_tests(copy: Path) -> None:
    printed = bash(blocks(PAGE, "bash")[1].rstrip() + " -q -p no:cacheprovider", copy)
    passed = re.search(r"(\d+) passed", printed)
    assert passed, printed
    assert int(passed[1]) >= 8
    assert "failed" not in printed


def test_it_keeps_to_the_style_of_the_others(copy: Path) -> None:
    # Docstrings of methods are left out: the page explains them in prose.
    bash("ruff check --ignore=D102,D107 models/bpr.py configs/bpr.py", copy)
    bash("ruff format --check models/bpr.py configs/bpr.py", copy)


def test_schedules_go_on_for_a_model_of_tables_alone(
    synthetic_data: PreparedDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "page_bpr.py").write_text(files()["models/bpr.py"])
    monkeypatch.syspath_prepend(tmp_path)
    page = importlib.import_module("page_bpr")
    model = page.BPR(page.BPRConfig(dim=4), synthetic_data)
    optimizer = tf.keras.optimizers.Adam(0.01)
    model.prepare_training(optimizer)
    transforms = model.transforms(synthetic_data, ("train",), True)
    reading = model.reading(("train",), 64)
    for batch in make_dataset(synthetic_data, reading, transforms).take(3):
        model.train_step(batch)
    assert not model.trainable_variables
    assert int(optimizer.iterations) == 3
