"""The page of finished runs, as a browser shows it, and what the command refuses."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from data.dataset import PreparedDataset
from data.errors import InputError
from tests.browser import DESKTOP, PHONE, OpenPage, open_browser
from tests.trainers.written_runs import CARD, write_evaluated_run, write_run
from trainers.click_details import ClickDetails
from trainers.click_metrics import click_metrics
from trainers.details import details_folder, write_details
from trainers.report_page.page import report_page

REPOSITORY = Path(__file__).parents[2]
EVIL = "<script>alert(1)</script>"
RANKING = (
    "leaderboard",
    "tests",
    "curves",
    "history",
    "popularity",
    "coverage",
    "cost",
    "protocols",
    "settings",
)
CLICK = ("leaderboard", "tests", "curves", "calibration", "slices", "cost", "protocols")


@pytest.fixture(scope="module")
def runs(synthetic_data: PreparedDataset, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Returns two seeds of one setting, and a worse one of an unpleasant name."""
    folder = tmp_path_factory.mktemp("runs")
    good = [
        write_evaluated_run(folder / f"good{seed}", synthetic_data, noise=0.3, seed=seed)
        for seed in (1, 2)
    ]
    bad = write_evaluated_run(folder / "bad & <b>", synthetic_data, noise=3.0, recipe=EVIL)
    for run in good:
        values = [{"ndcg@10/sampled99": 0.1 * n, "hr@10/sampled99": None} for n in (1, 2, 3)]
        lines = [
            json.dumps({"step": 100 * n, "split": "validation", "metrics": metrics})
            for n, metrics in enumerate(values)
        ]
        (run / "metrics.jsonl").write_text("\n".join([*lines[:2], '{"step": 2', lines[2]]))
    return [*good, bad]


@pytest.fixture(scope="module")
def click_runs(
    synthetic_data: PreparedDataset, tmp_path_factory: pytest.TempPathFactory
) -> list[Path]:
    """Returns two runs of a click task, the second better."""
    folder, rng = tmp_path_factory.mktemp("clicks"), np.random.default_rng(0)
    truth = rng.normal(-1, 1, 3_000)
    labels = (rng.random(3_000) < 1 / (1 + np.exp(-truth))).astype(np.float32)
    for name, noise in (("worse", 1.0), ("better", 0.1)):
        logits = (truth + noise * rng.normal(size=3_000)).astype(np.float32)
        run, found = folder / name, ClickDetails(labels, logits)
        cards = {"click": {"dataset": EVIL, "split": "test", "rows": 3_000}}
        write_run(run, dict(click_metrics(labels, logits)), recipe=name, cards=cards)
        write_details(details_folder(run), found, synthetic_data, ("train",))
        results = json.loads((run / "metrics.json").read_text())
        row = {"value": EVIL, "rows": 40, "auc": None, "logloss": 0.5, "calibration": 1.0}
        (run / "metrics.json").write_text(json.dumps({**results, "slices": {"colour": [row]}}))
    return [folder / "worse", folder / "better"]


def cells(opened: OpenPage, section: str, table: int = 0) -> list[list[str]]:
    """Returns the text of a table, of each cell its first line."""
    script = (
        "([section, place]) => [...document.querySelectorAll(`#${section} table`)[place].rows]"
        ".map(row => [...row.cells].map(cell =>"
        " (cell.querySelector('.name > span:last-child') ?? cell).innerText))"
    )
    rows = opened.page.evaluate(script, [section, table])
    return [[cell.strip().split("\n")[0] for cell in row] for row in rows]


def check(opened: OpenPage, path: Path, sections: tuple[str, ...]) -> None:
    """Opens the page, and checks what must hold of any."""
    opened.page.goto(path.as_uri())
    assert opened.faults == []
    assert opened.requests == [path.as_uri()]
    assert not opened.scrolls_sideways()
    count = "selector => document.querySelectorAll(selector).length"
    for section in sections:
        assert opened.page.evaluate(count, f"#{section} :is(table, svg, .note)"), section
    assert opened.page.evaluate(count, "script") == 0
    ids = opened.page.evaluate("[...document.querySelectorAll('[id]')].map(one => one.id)")
    assert len(set(ids)) == len(ids)
    # Nothing is drawn over the edge of its box, but in what scrolls by itself.
    wide = (
        "[...document.querySelectorAll('section, section *:not(.scroll *)')]"
        ".filter(one => one.getBoundingClientRect().right > innerWidth + 0.5).length"
    )
    assert opened.page.evaluate(wide) == 0


@pytest.fixture(params=[DESKTOP, PHONE], ids=["desktop", "phone"])
def browser(request: pytest.FixtureRequest) -> Iterator[OpenPage]:
    with open_browser(request.param) as opened:
        yield opened


def test_the_page_shows_all_sections_and_the_numbers_of_the_runs(
    runs: list[Path], click_runs: list[Path], browser: OpenPage, tmp_path: Path
) -> None:
    path = tmp_path / "report.html"
    path.write_text(report_page(runs, ["ndcg@10/full", "hr@10/full"]))
    check(browser, path, RANKING)
    users = [pl.read_parquet(run / "evaluation" / "users.parquet") for run in runs]
    first, second, bad = (frame["ndcg@10/full"].to_numpy() for frame in users)
    good = (first + second) / 2
    rows = cells(browser, "leaderboard")
    assert rows[0] == ["run", "ndcg@10/full", "hr@10/full", "parameters", "seeds"]
    assert [row[0] for row in rows[1:]] == ["good1 and 1 more", "bad & <b>", "(popularity)"]
    settings = browser.page.locator("#leaderboard tbody th small").all_inner_texts()
    assert settings == ["ncf/default epochs=3", f"ncf/{EVIL} epochs=3"]
    assert "The best by ndcg@10/full first" in browser.page.inner_text("#leaderboard")
    assert rows[1][1] == f"{good.mean():.4f}"
    assert rows[1][-1] == "2"
    assert rows[2][1] == f"{bad.mean():.4f}"
    (tested,) = cells(browser, "tests")[1:]
    assert tested[1:] == [f"{np.mean(bad - good):+.4f}", "< 0.0001", "worse"]
    half = 1.96 * good.std() / len(good) ** 0.5
    text = browser.page.inner_text("#leaderboard td small")
    low, high = map(float, text.split(" to "))
    assert (low, high) == pytest.approx((good.mean() - half, good.mean() + half), abs=2e-4)
    assert browser.page.evaluate("document.querySelectorAll('#history svg').length") == 2

    path.write_text(report_page(click_runs, []))
    browser.requests.clear()
    check(browser, path, CLICK)
    assert browser.page.inner_text("h1") == EVIL
    assert [row[0] for row in cells(browser, "tests", 1)[1:]] == ["worse"]
    assert [row[-1] for row in cells(browser, "tests", 1)[1:]] == ["worse"]  # a higher logloss
    assert cells(browser, "slices")[1][:2] == [EVIL, "40"]


def test_colours_follow_the_page_and_are_none_of_their_own(runs: list[Path]) -> None:
    page = report_page(runs, [])
    drawn = "".join(re.findall(r"<svg.*?</svg>", page, flags=re.DOTALL))
    assert "var(--series-1)" in drawn
    assert re.findall(r"#[0-9a-f]{6}", drawn) == []


def test_a_run_of_an_older_version_shows_the_rest_and_says_how_to_get_it(
    runs: list[Path], tmp_path: Path
) -> None:
    old = tmp_path / "old"
    shutil.copytree(runs[2], old, ignore=shutil.ignore_patterns(details_folder(runs[2]).name))
    page = report_page([runs[0], old], [])
    assert f"python -m trainers.run --mode=evaluate --model_dir={old}" in page
    assert "It takes two lines" in page or "Nothing to test" in page
    alone = report_page([old], [])
    assert 'id="leaderboard"' in alone
    assert 'id="history"' not in alone


def test_yesterdays_run_is_tested_on_todays_data(
    runs: list[Path], synthetic_data: PreparedDataset, tmp_path: Path
) -> None:
    old = write_evaluated_run(
        tmp_path / "old", synthetic_data, noise=3.0, recipe="old", elsewhere=True
    )
    page = report_page([runs[0], old], ["hr@10/full"], synthetic_data.folder)
    (tested,) = re.findall(r'id="tests".*?</section>', page, flags=re.DOTALL)
    assert ">worse" in tested
    assert "0.9000" not in page  # what it reached on its own
    assert "validated on the dataset that it was trained on" in page
    shutil.rmtree(details_folder(old, synthetic_data.schema_sha256))
    page = report_page([runs[0], old], [], synthetic_data.folder)
    assert f"--mode=evaluate --data_dir={synthetic_data.folder} --model_dir={old}" in page


def test_more_lines_than_colours_are_all_in_the_tables(tmp_path: Path) -> None:
    folders = [
        write_run(tmp_path / f"r{n}", {"hr@10/full": n / 20, "ndcg@10/full": 0.1}, recipe=f"r{n}")
        for n in range(10)
    ]
    page = report_page(folders, [])
    assert "Charts show the first 8 lines" in page
    assert all(f"ncf/r{n} epochs=3" in page for n in range(10))


def test_rows_that_were_too_many_are_told(click_runs: list[Path], tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(click_runs[0], run)
    (details_folder(run) / "rows.parquet").unlink()
    page = report_page([run], [])
    assert "run has too many rows to keep" in page
    assert 'id="calibration"' in page


def test_runs_that_cannot_be_compared_and_none_are_refused(tmp_path: Path) -> None:
    values = {"hr@10/full": 0.3, "ndcg@10/full": 0.2}
    one = write_run(tmp_path / "a", dict(values))
    other = write_run(tmp_path / "b", dict(values), cards={"full": {**CARD, "split": "dev"}})
    with pytest.raises(InputError, match=r"evaluated in the same way.*protocol\.full\.split"):
        report_page([one, other], [])
    cut = write_run(tmp_path / "c", None)
    with pytest.raises(InputError, match=rf"one finished run .* Received: {cut}\."):
        report_page([cut], [])
    assert f"{cut} is not finished" in report_page([one, cut], [])


def test_the_command_writes_the_page_and_refuses(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", {"hr@10/full": 0.3, "ndcg@10/full": 0.2})
    command = [sys.executable, "-m", "trainers.report", str(run)]

    def call(*flags: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*command, *flags], cwd=REPOSITORY, capture_output=True, text=True, check=False
        )

    out = tmp_path / "page.html"
    done = call(f"--out={out}")
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{out}\n"
    assert out.read_text().startswith("<!doctype html>")
    refused = call(f"--out={tmp_path / 'none' / 'page.html'}")
    assert refused.returncode == 2
    assert refused.stderr.splitlines()[-1].startswith("error: --out must be an HTML file in a")
