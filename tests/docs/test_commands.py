"""Each command that the documentation shows is one: module, flags, values and settings exist.

Blocks marked `bash` are run as well, by the tests that EXECUTED names; other commands, which
need real data, other machines or much time, are only held to what the commands say of themselves.
"""

from __future__ import annotations

import re
import sys

import pytest

from configs.base import RunConfig
from configs.overrides import apply_overrides
from configs.registry import recipe
from data.errors import InputError
from tests.docs.commands import (
    NOTEBOOKS,
    PAGES,
    SCRIPTS,
    Shown,
    commands_in,
    commands_of,
    make_targets,
    makefile_targets,
    shell_files,
)
from tests.docs.pages import REPOSITORY, blocks, read_page

sys.path.insert(0, str(REPOSITORY / "docs" / "hooks"))
from command_help import Command, command_modules, read_commands

EXECUTED = {
    "docs/add-a-model.md": "tests/docs/test_add_a_model.py",
    "docs/deployment.md": "tests/serving/test_deploy_live.py",
    "docs/index.md": "tests/docs/test_start.py",
    "docs/use-cases/banking.md": "tests/docs/test_use_cases.py",
    "docs/use-cases/media.md": "tests/docs/test_use_cases.py",
    "docs/use-cases/shop.md": "tests/docs/test_use_cases.py",
    "docs/your-data.md": "tests/docs/test_your_data.py",
}
# Modules that are no commands of this project, and a model that one page adds.
OTHERS = {"mkdocs", "pytest", "timeit"}
ADDED_BY_A_PAGE = {"bpr"}
ABSL = {"help", "helpfull"}


@pytest.fixture(scope="module")
def known() -> dict[str, Command]:
    return read_commands()


def faults(shown: Shown, known: dict[str, Command]) -> list[str]:
    """Returns what is wrong with a command."""
    if shown.module in OTHERS or _is_open(shown.module):
        return []
    if shown.module not in known:
        return [f"no command {shown.module}"]
    found, flags = [], known[shown.module].flags
    for name, value in shown.flags():
        flag = flags.get(name) or flags.get(name.removeprefix("no"))
        if flag is None and name not in ABSL:
            found.append(f"{shown.module} has no flag --{name}")
        elif flag and flag.choices and value and not _is_open(value):
            found += [f"--{name}={value}"] * (value not in {*flag.choices, *ADDED_BY_A_PAGE})
    return found + setting_faults(shown)


def setting_faults(shown: Shown) -> list[str]:
    """Returns what is wrong with the recipe and the `--set` of a command."""
    values = dict(shown.flags())
    model, name = values.get("model"), values.get("recipe") or "default"
    if shown.module != "trainers.run" or not model or _is_open(model) or model in ADDED_BY_A_PAGE:
        return []
    if name.endswith(".yaml"):  # a file that trainers.tune writes
        name = "default"
    settings = [value for flag, value in shown.flags() if flag == "set" and value]
    try:
        config = recipe(model, name)
        apply_overrides(config, [text for text in settings if not _is_open(text)])
    except InputError as error:
        return [str(error)]
    assert isinstance(config, RunConfig)
    return []


def _is_open(value: str) -> bool:
    """Whether a value stands for others: `$model`, `...`, `NAME`."""
    return "$" in value or "..." in value or value.isupper()


@pytest.mark.parametrize("place", [*PAGES, *NOTEBOOKS, *SCRIPTS])
def test_commands_exist_with_their_flags(place: str, known: dict[str, Command]) -> None:
    wrong = {s.text: found for s in commands_of(place) if (found := faults(s, known))}
    assert wrong == {}


@pytest.mark.parametrize("module", command_modules())
def test_the_help_of_commands_shows_commands_that_exist(
    module: str, known: dict[str, Command]
) -> None:
    shown = commands_in(known[module].usage)
    assert shown
    assert {s.text: found for s in shown if (found := faults(s, known))} == {}


@pytest.mark.parametrize("place", PAGES)
def test_scripts_and_targets_exist(place: str) -> None:
    text = read_page(place)
    missing = {file for file in shell_files(text) if not (REPOSITORY / file).is_file()}
    assert missing == set()
    assert make_targets(text) <= makefile_targets()


def test_every_block_marked_bash_is_run_by_a_test() -> None:
    marked = {place for place in PAGES if blocks(read_page(place), "bash")}
    assert marked == set(EXECUTED)
    for page, test in EXECUTED.items():
        assert page.removeprefix("docs/") in read_page(test), f"{test} does not read {page}"


@pytest.mark.parametrize(
    ("command", "fault"),
    [
        ("python -m trainers.rnu --model=ncf", "no command trainers.rnu"),
        ("cd x && python -m data.prepare --dataste=a", "data.prepare has no flag --dataste"),
        ("for m in a; do python -m data.prepare --split=lats; done", "--split=lats"),
        ("launch/local.sh 2 --model=ncf --colour=red", "trainers.run has no flag --colour"),
        ("python -m trainers.run --model=ncf --recipe=ml_2m", "Model 'ncf' must have the recipe"),
        ("python -m trainers.run --model=ncf --set=model.dmi=3", "An override must name"),
        ("python -m serving.export [--model_dri=RUN] | tail", "has no flag --model_dri"),
    ],
)
def test_what_is_wrong_is_found(command: str, fault: str, known: dict[str, Command]) -> None:
    (shown,) = commands_in(command)
    assert re.search(re.escape(fault), " ".join(faults(shown, known)))


def test_commands_are_taken_apart_as_the_shell_does() -> None:
    text = "A=1 python -m data.prepare --source='a b' \\\n    --out=X > log 2>&1 &  # and so on\n"
    (shown,) = commands_in(text)
    assert shown.module == "data.prepare"
    assert list(shown.flags()) == [("source", "a b"), ("out", "X")]
    assert commands_in("python - <<'END'\npython -m no.command\nEND\n") == []
