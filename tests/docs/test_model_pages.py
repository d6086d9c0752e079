"""The pages of the models: every recipe is there, and every figure is one of its sources."""

from __future__ import annotations

import re

import pytest

from configs.registry import MODELS
from tests.docs.pages import REPOSITORY, read_page

BASELINES = ("popularity", "item_knn", "ease")
PAGES = {
    name: f"docs/models/{'baselines' if name in BASELINES else name.replace('_', '-')}.md"
    for name in MODELS
}
NEEDED = (
    "**What it is for.**",
    "**When not to use it.**",
    "## Equation",
    "## Run it",
    "## Numbers",
)
FOR_TESTS = {"tiny"}
_FIGURE = re.compile(r"(?<![\w.])\.\d{3,4}\b")


def sources() -> str:
    """Returns where figures come from: the README, and the recipes' docstrings."""
    recipes = [path.read_text(encoding="utf-8") for path in (REPOSITORY / "configs").glob("*.py")]
    return "\n".join([read_page("README.md"), *recipes])


@pytest.mark.parametrize("name", MODELS)
def test_a_page_has_all_recipes_of_its_model(name: str) -> None:
    page = read_page(PAGES[name])
    assert f"`--model={name}`" in page or f"`{name}`" in page
    if name not in BASELINES:
        recipes = set(MODELS[name].recipes) - FOR_TESTS
        assert {recipe for recipe in recipes if f"`{recipe}`" not in page} == set()
        assert [part for part in NEEDED if part not in page] == []


@pytest.mark.parametrize("place", sorted({*PAGES.values(), "docs/models/index.md"}))
def test_every_figure_has_a_source(place: str) -> None:
    figures = set(_FIGURE.findall(read_page(place)))
    assert figures - set(_FIGURE.findall(sources())) == set()


def test_the_table_of_all_models_is_that_of_the_readme() -> None:
    rows = re.findall(r"^\| .*\| \.\d{4} \|.*$", read_page("docs/models/index.md"), re.MULTILINE)
    assert len(rows) >= len(MODELS)
    assert [row for row in rows if row not in read_page("README.md").splitlines()] == []
