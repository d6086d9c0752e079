"""The page on messages: each heading is a rule that the code still states."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import pytest

from tests.docs.pages import REPOSITORY, read_page

PAGE = read_page("docs/troubleshooting.md")
ROOMS = ("configs", "data", "models", "serving", "trainers")
ERRORS = ("InputError", "RequestError")
NO_MESSAGE = "What is no error"
FEWEST = 35  # messages that the page explains


def explained() -> list[str]:
    """Returns the messages that the page explains."""
    return re.findall(r"^### (.+)$", PAGE.partition(f"## {NO_MESSAGE}")[0], re.MULTILINE)


def template(node: ast.expr) -> str:
    """Returns a text of the code, with `…` for what it fills in."""
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(template(value) for value in node.values)
    if isinstance(node, ast.BinOp):
        return template(node.left) + template(node.right)
    return "…"


def rules(source: str) -> Iterator[str]:
    """Yields the rule of each error that a source raises."""
    for node in ast.walk(ast.parse(source)):
        is_error = isinstance(node, ast.Call) and getattr(node.func, "id", "") in ERRORS
        if is_error and node.args:  # type: ignore[attr-defined]
            yield template(node.args[0])  # type: ignore[attr-defined]


@pytest.fixture(scope="module")
def stated() -> set[str]:
    paths = [path for room in ROOMS for path in (REPOSITORY / room).rglob("*.py")]
    return {rule for path in paths for rule in rules(path.read_text(encoding="utf-8"))}


def test_each_message_is_one_of_the_code(stated: set[str]) -> None:
    assert len(explained()) >= FEWEST
    assert [message for message in explained() if message not in stated] == []


def test_no_message_is_explained_twice() -> None:
    assert len(explained()) == len(set(explained()))


def test_rules_are_read_as_they_are_printed() -> None:
    source = 'raise InputError(f"A {x} of " + "b", received=1)\nInputError("c")\nother("d")'
    assert list(rules(source)) == ["A … of b", "c"]
