"""Makes the pictures of these pages anew, from a small synthetic dataset and two short runs.

  python docs/screenshots.py --out=docs/images
  python docs/screenshots.py --out=docs/images --only=tensorboard

A picture is one function in PICTURES, which opens a page in headless Chromium. Run it from the
repository's root.
"""

from __future__ import annotations

import io
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from absl import app, flags
from PIL import Image
from playwright.sync_api import Page

from data.dataset import PreparedDataset
from tests.browser import open_browser
from tests.page_servers import explorer, tensorboard

REPOSITORY = Path(__file__).parents[1]
MOST_BYTES = 200_000
_COLOURS = 128  # of a palette, which flat pages need no more of

_OUT = flags.DEFINE_string("out", "docs/images", "Folder to write the pictures to.")
_ONLY = flags.DEFINE_list("only", [], "Names of the pictures to make; all without it.")


@dataclass(frozen=True)
class Work:
    """What pictures are made of.

    Attributes:
        data: A prepared dataset.
        runs: A folder of finished runs.
    """

    data: Path
    runs: Path


def prepare_work(folder: Path) -> Work:
    """Prepares a dataset and trains two runs that differ in a setting."""
    work = Work(folder / "data", folder / "runs")
    size = ("--synthetic_users=2000", "--synthetic_items=600", "--synthetic_ratings=80000")
    run("data.prepare", "--dataset=synthetic", *size, f"--out={work.data}")
    for name, rate in (("slow", 0.002), ("fast", 0.01)):
        run(
            "trainers.run",
            "--model=ncf",
            "--recipe=tiny",
            f"--data_dir={work.data}",
            f"--model_dir={work.runs / name}",
            f"--learning_rate={rate}",
            "--epochs=8",
            "--set=trainer.steps_per_call=10",
            "--set=trainer.patience=0",
            "--set=evaluation.validation_protocols=sampled,full",
        )
    return work


def run(module: str, *arguments: str) -> None:
    """Runs one of the project's commands."""
    command = [sys.executable, "-m", module, *arguments]
    subprocess.run(command, cwd=REPOSITORY, check=True, capture_output=True)


def save(page: Page, file: Path) -> None:
    """Writes what a page shows as a small PNG.

    Raises:
        RuntimeError: It is not small enough.
    """
    picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    content = io.BytesIO()
    picture.quantize(_COLOURS, dither=Image.Dither.NONE).save(content, "PNG", optimize=True)
    if content.tell() > MOST_BYTES:
        raise RuntimeError(f"{file}: {content.tell():,} bytes, at most {MOST_BYTES:,}")
    file.write_bytes(content.getvalue())


def tensorboard_picture(work: Work, file: Path) -> None:
    """Shows both runs in the Custom Scalars tab."""
    with tensorboard(work.runs) as url, open_browser((1500, 1080)) as opened:
        page = opened.page
        page.goto(f"{url}/#custom_scalars")
        page.get_by_text("Learning rates", exact=True).wait_for(timeout=60_000)
        page.locator("vz-line-chart2 path.line").nth(20).wait_for(state="attached", timeout=60_000)
        page.reload()  # TensorBoard has found the projector meanwhile
        page.get_by_text("Projector").wait_for(timeout=60_000)
        page.locator("vz-line-chart2 path.line").nth(20).wait_for(state="attached", timeout=60_000)
        page.wait_for_timeout(3_000)  # lines are drawn with a movement
        save(page, file)


def report_picture(work: Work, file: Path) -> None:
    """Shows the beginning of the report on both runs."""
    page = work.data.parent / "report.html"
    run("trainers.report", str(work.runs / "slow"), str(work.runs / "fast"), f"--out={page}")
    with open_browser((1280, 1100)) as opened:
        opened.page.goto(page.as_uri())
        save(opened.page, file)


def explore_picture(work: Work, file: Path) -> None:
    """Shows a user's lists of both runs side by side."""
    exports = [work.data.parent / f"export-{name}" for name in ("slow", "fast")]
    for name, export in zip(("slow", "fast"), exports, strict=True):
        run("serving.export", f"--model_dir={work.runs / name}", f"--export_dir={export}")
    with explorer(*exports) as url, open_browser((1280, 1000)) as opened:
        user = PreparedDataset(work.data).raw_ids("user")[7]
        opened.page.goto(f"{url}?user={user}&k=10")
        opened.page.locator("li.item").nth(19).wait_for(timeout=60_000)
        save(opened.page, file)


PICTURES: dict[str, Callable[[Work, Path], None]] = {
    "tensorboard": tensorboard_picture,
    "report": report_picture,
    "explore": explore_picture,
}


def main(argv: list[str]) -> None:
    """Makes the pictures."""
    del argv
    unknown = set(_ONLY.value) - set(PICTURES)
    if unknown:
        raise app.UsageError(f"--only={','.join(sorted(unknown))}: known: {', '.join(PICTURES)}")
    out = Path(_OUT.value)
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        work = prepare_work(Path(folder))
        for name in _ONLY.value or PICTURES:
            PICTURES[name](work, out / f"{name}.png")
            print(f"{out / name}.png")


if __name__ == "__main__":
    app.run(main)
