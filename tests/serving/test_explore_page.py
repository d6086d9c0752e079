"""The explorer's page in headless Chromium: by mouse, by keyboard, on a phone."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from conftest import ExportOf, Serve
from explored import Explored, explored
from playwright.sync_api import Page, expect

from serving.client import Client
from tests.browser import DESKTOP, PHONE, open_browser

SHOUT = '<img src=x onerror=alert(1)> & "quotes"'
LONG = "Unbroken" * 30


@pytest.fixture(scope="module")
def user(quick_export: ExportOf) -> str:
    """A user that both models know."""
    return str(quick_export("mf").run.data.raw_ids("user")[3])


@pytest.fixture(scope="module")
def expected(quick_export: ExportOf, serve: Serve, user: str) -> dict[str, list[str]]:
    """The ten best items of the user by model, from a served model's client."""
    names = ("mf", "vae_cf")
    url = serve({name: quick_export(name).path.parent for name in names})
    return {
        name: [str(r.item) for r in Client(url, name).recommend(int(user), 10).recommendations]
        for name in names
    }


@pytest.fixture(scope="module")
def titles(quick_export: ExportOf, expected: dict[str, list[str]]) -> dict[str, str]:
    """Titles of all items; the two best of the user have none that a page likes."""
    items = [str(item) for item in quick_export("mf").run.data.raw_ids("item")]
    hard = dict(zip(expected["mf"], [SHOUT, LONG], strict=False))
    return {item: hard.get(item, f"Film number {n}") for n, item in enumerate(items)}


@pytest.fixture(scope="module")
def two(quick_export: ExportOf, titles: dict[str, str]) -> Iterator[Explored]:
    """The page of two models of the same items."""
    with explored([quick_export(name).path for name in ("mf", "vae_cf")], titles) as served:
        yield served


@contextmanager
def visit(served: Explored, address: str = "", size: tuple[int, int] = DESKTOP) -> Iterator[Page]:
    """Opens the page; in the end nothing in it may have failed or asked other hosts."""
    with open_browser(size) as opened:
        opened.page.goto(served.url + address)
        yield opened.page
        assert opened.faults == []
        assert [url for url in opened.requests if not url.startswith(served.url)] == []


def ids(page: Page, place: int) -> list[str | None]:
    """Returns the items of a model's list once it is there."""
    rows = page.locator(f"#list-{place} .item")
    expect(rows.first).to_be_visible()
    return [row.get_attribute("data-id") for row in rows.all()]


def test_a_typed_user_gets_the_lists_of_the_client(
    two: Explored, user: str, expected: dict[str, list[str]], titles: dict[str, str]
) -> None:
    with visit(two) as page:
        expect(page.locator("#status")).to_contain_text("Type a user, or choose items")
        page.get_by_label("User", exact=True).fill(user)
        page.keyboard.press("Enter")
        assert ids(page, 0) == expected["mf"]
        assert ids(page, 1) == expected["vae_cf"]
        assert page.url == f"{two.url}?user={user}"
        # What looks like markup is text.
        assert page.locator("#list-0 .title").first.inner_text() == SHOUT
        assert page.locator("#lists img").count() == 0
        page.get_by_text("The user's known history").first.click()
        assert page.locator("#list-0 .past li").count() > 0


def test_two_lists_mark_what_they_share(
    two: Explored, user: str, expected: dict[str, list[str]]
) -> None:
    first, second = expected["mf"], expected["vae_cf"]
    shared = [item for item in first if item in second]
    with visit(two, f"?user={user}") as page:
        ids(page, 0)
        expect(page.locator("#agreement")).to_contain_text(
            f"{len(shared)} of 10 items in both lists ({10 * len(shared)}%)"
        )
        for place, (mine, other) in enumerate([(first, second), (second, first)]):
            expect(page.get_by_role("heading", level=2).nth(place)).to_have_text(
                ["A: ncf variant=mf v1", "B: vae_cf v1"][place]
            )
            marks = page.locator(f"#list-{place} .mark").all_inner_texts()
            assert marks == [
                f"also #{other.index(item) + 1}" if item in other else "only here" for item in mine
            ]


def test_a_history_is_built_by_titles_with_the_keyboard_only(
    two: Explored, titles: dict[str, str]
) -> None:
    by_title = {title: item for item, title in titles.items()}
    with visit(two) as page:
        field = page.get_by_role("combobox", name="History")
        field.focus()
        for text in ("film number 17", "NUMBER 23"):
            page.keyboard.type(text)
            expect(page.get_by_role("option").first).to_have_attribute("aria-selected", "true")
            page.keyboard.press("Enter")
            expect(field).to_have_value("")
        history = [by_title["Film number 17"], by_title["Film number 23"]]
        expect(page.get_by_label("Remove Film number 23")).to_be_visible()
        ids(page, 0)
        assert page.url == f"{two.url}?history={','.join(history)}"
        assert ids(page, 1) == [item["id"] for item in two.lists(history=history)[1]["items"]]
        page.keyboard.type("film number 1")
        options = page.get_by_role("option")
        expect(options.nth(1)).to_be_visible()
        page.keyboard.press("ArrowDown")
        expect(options.nth(1)).to_have_attribute("aria-selected", "true")
        assert field.get_attribute("aria-activedescendant") == options.nth(1).get_attribute("id")
        page.keyboard.press("Escape")
        expect(options).to_have_count(0)
        page.keyboard.press("Control+A")
        page.keyboard.press("Delete")
        page.keyboard.press("Backspace")
        expect(page.get_by_label("Remove Film number 23")).to_have_count(0)
        expect(page.get_by_label("Remove Film number 17")).to_be_visible()


def test_an_address_keeps_the_question(two: Explored, titles: dict[str, str]) -> None:
    items = list(titles)[20:24]
    address = f"?history={items[0]}&exclude={items[1]}&allow={items[1]},{items[2]},{items[3]}&k=3"
    with visit(two, address) as page:
        assert set(ids(page, 0)) == {items[2], items[3]}
        for item in items:
            expect(page.get_by_label(f"Remove {titles[item]}").first).to_be_visible()
        page.get_by_label("List length").fill("1")
        page.get_by_role("button", name="Recommend").click()
        expect(page.locator("#list-0 .item")).to_have_count(1)
        assert page.url == two.url + address.replace("k=3", "k=1")
        page.go_back()
        expect(page.locator("#list-0 .item")).to_have_count(2)
        # From a list, an item goes into the history or out of the lists.
        last = page.locator("#list-0 .item").last.get_attribute("data-id")
        page.locator("#list-0 .item").last.get_by_role("button", name="Never show").click()
        expect(page.locator("#list-0 .item")).to_have_count(1)
        assert f"exclude={items[1]},{last}&" in page.url


def test_strangers_and_wrong_ids_are_told(two: Explored) -> None:
    with visit(two, "?user=1000000000") as page:
        expect(page.locator("#list-1")).to_contain_text("these are its most popular items")
        page.get_by_label("User", exact=True).fill("anna")
        page.keyboard.press("Enter")
        alert = page.locator("#list-0").get_by_role("alert")
        expect(alert).to_have_text("The user must be a whole number. Received: 'anna'.")
        # A length that no list has is not even asked for.
        page.get_by_label("List length").fill("999")
        page.keyboard.press("Enter")
        assert page.get_by_label("List length").evaluate("field => field.matches(':invalid')")
        assert page.url == f"{two.url}?user=anna"


def test_a_refused_question_and_a_stopped_explorer_are_told(
    quick_export: ExportOf, user: str
) -> None:
    with open_browser() as opened:
        with explored([quick_export("vae_cf").path]) as served:
            opened.page.goto(f"{served.url}?user={user}&k=999")
            problem = opened.page.locator("#problem")
            expect(problem).to_contain_text("k must be a whole number from 1 to 200. Received: 999")
            opened.page.get_by_role("button", name="Clear").click()
            expect(problem).to_be_hidden()
        opened.page.get_by_label("User", exact=True).fill(user)
        opened.page.keyboard.press("Enter")
        expect(opened.page.get_by_role("alert").first).to_contain_text("Start it again")


def test_a_phone_sees_everything_without_scrolling_sideways(two: Explored, user: str) -> None:
    with open_browser(PHONE) as opened:
        opened.page.goto(f"{two.url}?user={user}")
        expect(opened.page.locator("#list-1 .item")).to_have_count(10)
        for summary in opened.page.locator("summary:visible").all():
            summary.click()
        expect(opened.page.get_by_text(LONG).first).to_be_visible()
        assert not opened.scrolls_sideways()
        assert opened.faults == []


def test_labelled_rows_are_scored_by_a_form(quick_export: ExportOf) -> None:
    with explored([quick_export("census").path]) as served, visit(served) as page:
        assert page.get_by_role("tab").count() == 0
        page.get_by_role("button", name="Example row").click()
        meter = page.get_by_role("meter")
        expect(meter).to_be_visible()
        page.get_by_label("age").fill("70")
        page.get_by_role("textbox", name="code").fill("2")
        page.keyboard.press("Enter")
        expect(page).to_have_url(re.compile("in.age=70"))
        row = {
            str(field.get_attribute("name")): field.input_value()
            for field in page.locator("#inputs input").all()
        }
        probability = served.scores(**row)[0]["probability"]
        expect(meter).to_have_attribute("aria-valuenow", str(probability))
        page.get_by_role("textbox", name="code").fill("two")
        page.keyboard.press("Enter")
        expect(page.get_by_role("alert").last).to_contain_text("code must be a whole number")
        page.get_by_text("Model card").click()
        expect(page.locator(".card")).to_contain_text("ndcg@10/full")


def test_models_of_other_data_are_told_and_tabs_switch(quick_export: ExportOf) -> None:
    sources = [quick_export("vae_cf").path, quick_export("census").path]
    with explored(sources) as served, visit(served) as page:
        expect(page.locator("main")).to_contain_text("trained on different datasets")
        page.get_by_role("tab", name="Score").click()
        expect(page.get_by_label("age")).to_be_visible()
        expect(page.get_by_label("List length")).to_be_hidden()
        assert page.url == f"{served.url}?view=score"
        page.keyboard.press("ArrowLeft")
        expect(page.get_by_role("tab", name="Recommend")).to_be_focused()
        expect(page.get_by_label("List length")).to_be_visible()
        page.get_by_role("button", name="Any user").click()
        expect(page.locator("#list-0 .item")).to_have_count(10)
        expect(page.locator("#list-1")).to_have_text(
            "This model scores rows only; see the tab Score."
        )
