"""Headless Chromium for tests of pages."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest
from playwright.sync_api import Page, sync_playwright

DESKTOP = (1280, 900)
PHONE = (390, 844)
# Without these, Chromium asks the network for updates and accounts as soon as it starts.
_OFFLINE = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@dataclass
class OpenPage:
    """A page, and what went wrong in it.

    Attributes:
        page: Playwright's page.
        faults: Errors of scripts and of the console.
        requests: Every address that was asked for.
    """

    page: Page
    faults: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def scrolls_sideways(self) -> bool:
        """Whether the page is wider than the window."""
        wide = "document.documentElement.scrollWidth > document.documentElement.clientWidth"
        return bool(self.page.evaluate(wide))


@contextmanager
def open_browser(size: tuple[int, int] = DESKTOP) -> Iterator[OpenPage]:
    """Gives an empty page of headless Chromium; skips the test where Chromium is not installed.

    Args:
        size: Width and height of the window in pixels.
    """
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        if os.environ.get("CI"):
            pytest.fail("CI must have Chromium: apt-get install chromium")
        pytest.skip("no Chromium: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=[*_OFFLINE])
        page = browser.new_page(viewport={"width": size[0], "height": size[1]})
        opened = OpenPage(page)
        page.on("pageerror", lambda error: opened.faults.append(str(error)))
        page.on(
            "console",
            lambda line: opened.faults.append(line.text) if line.type == "error" else None,
        )
        page.on("request", lambda request: opened.requests.append(request.url))
        try:
            yield opened
        finally:
            browser.close()
