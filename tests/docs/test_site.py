"""The documentation as a site: built without a warning, with whole links, and offline."""

from __future__ import annotations

import functools
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.browser import DESKTOP, PHONE, open_browser
from tests.docs.commands import PAGES
from tests.docs.pages import REPOSITORY, read_page

_CODE = re.compile(r"^```.*?^```$|`[^`]*`", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_GENERATED_ANCHORS = "docs/reference/"  # mkdocs checks those
OPENED = (
    "index.html",
    "concepts.html",
    "models/ncf.html",
    "reference/models.html",
    "reference/commands.html",
    "troubleshooting.html",
    "use-cases/shop.html",
)


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        del format, args


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns the folder of the built site."""
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture(scope="module")
def address(site: Path) -> Iterator[str]:
    """Returns the address at which the site is served."""
    handler = functools.partial(Quiet, directory=str(site))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def anchors(page: str) -> set[str]:
    """Returns the anchors of a page's headings, as GitHub makes them."""
    titles = re.findall(r"^#+ (.*)$", _CODE.sub(_keep_inline, page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", t.strip().lower()).replace(" ", "-") for t in titles}


def _keep_inline(code: re.Match[str]) -> str:
    return "" if code[0].startswith("```") else code[0]


def link_faults(place: str, page: str) -> list[str]:
    """Returns the links of a page that lead nowhere in the repository, or are no addresses."""
    found = []
    for link in _LINK.findall(_CODE.sub("", page)):
        target, _, anchor = link.partition("#")
        if "://" in target:
            if not re.fullmatch(r"https?://[\w.-]+\.\w+(/\S*)?", link):
                found.append(link)
            continue
        path = ((REPOSITORY / place).parent / target).resolve()
        if target and not path.exists():
            found.append(link)
        elif anchor and _GENERATED_ANCHORS not in path.as_posix():
            text = path.read_text(encoding="utf-8") if target else page
            found += [link] * (anchor not in anchors(text))
    return found


@pytest.mark.parametrize("place", PAGES)
def test_links_lead_somewhere(place: str) -> None:
    assert link_faults(place, read_page(place)) == []


def test_links_that_lead_nowhere_are_found() -> None:
    page = (
        "[a](docs/no.md) [b](docs/serving.md#no) [c](http://no) [d](#also-no) `[e](no.md)`\n# B `c`"
    )
    faults = ["docs/no.md", "docs/serving.md#no", "http://no", "#also-no"]
    assert link_faults("README.md", page) == faults
    assert link_faults("README.md", "# B `c`, d\n[a](#b-c-d) [b](https://a.org/b)") == []


def test_every_page_is_in_the_site(site: Path) -> None:
    for place in PAGES:
        if place.startswith("docs/"):
            path = site / Path(place).relative_to("docs").with_suffix(".html")
            assert path.is_file(), place
    names = {path.name for path in site.iterdir()}
    assert {"benchmarks.html", "contributing.html", "changelog.html"} <= names
    assert "hooks" not in names


def test_pages_name_nothing_that_a_browser_would_fetch_elsewhere(site: Path) -> None:
    fetched = re.compile(
        r"<(?:script|img|link|iframe|source)\b[^>]*\b(?:src|href)=\"?(https?:[^\">]+)"
    )
    found = {str(path.name): fetched.findall(path.read_text()) for path in site.rglob("*.html")}
    # A canonical address names the page itself; nothing is fetched from it.
    assert {name: urls for name, urls in found.items() if urls} == {}


@pytest.mark.parametrize("size", [DESKTOP, PHONE])
def test_a_browser_asks_no_other_host(address: str, size: tuple[int, int]) -> None:
    with open_browser(size) as opened:
        for place in OPENED:
            opened.page.goto(f"{address}/{place}", wait_until="networkidle")
            assert opened.page.locator("h1").count() == 1, place
            assert not opened.scrolls_sideways(), place
            for image in opened.page.locator("article img").all():
                assert image.evaluate("image => image.naturalWidth") > 0
        assert opened.faults == []
        assert all(url.startswith((address, "data:")) for url in opened.requests), opened.requests


def test_search_finds_a_message(address: str) -> None:
    with open_browser() as opened:
        # The page's script must run before it hears what is typed, and it hears keys.
        opened.page.goto(f"{address}/index.html", wait_until="networkidle")
        opened.page.locator("input[name=query]").press_sequentially("vocabulary must begin")
        found = opened.page.locator(".md-search-result__item").first
        found.wait_for()
        assert "Troubleshooting" in found.inner_text()
        assert opened.faults == []


def test_pages_can_be_read_from_a_folder(site: Path) -> None:
    with open_browser() as opened:
        opened.page.goto(f"file://{site}/models/ncf.html", wait_until="networkidle")
        opened.page.locator(".md-nav__link", has_text="DLRM").first.click()
        opened.page.wait_for_url("**/models/dlrm.html")
        assert all(url.startswith(("file:", "data:")) for url in opened.requests)
