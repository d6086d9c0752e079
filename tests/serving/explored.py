"""The page of the explorer, served for tests, and a way to ask it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
from conftest import loop_in_a_thread

from serving.explore.models import open_model
from serving.explore.running import explorer


@dataclass(frozen=True)
class Explored:
    """A served page."""

    url: str

    def post(self, path: str, body: Any) -> requests.Response:
        """Asks the page's API."""
        return requests.post(f"{self.url}api/{path}", json=body, timeout=60)

    def lists(self, **question: Any) -> list[dict[str, Any]]:
        """Returns the models' lists."""
        answer = self.post("recommend", question)
        assert answer.status_code == 200, answer.text
        return answer.json()["lists"]

    def scores(self, **row: str) -> list[dict[str, Any]]:
        """Returns the models' scores of a row."""
        answer = self.post("score", row)
        assert answer.status_code == 200, answer.text
        return answer.json()["scores"]


@contextmanager
def explored(
    sources: Sequence[Path | str], titles: Mapping[str, str] | None = None, port: int = 0
) -> Iterator[Explored]:
    """Serves the page of one or two models."""
    models = [open_model(str(source)) for source in sources]
    with loop_in_a_thread() as run:
        page = explorer(models, titles or {}, "127.0.0.1", port)
        address = run(page.__aenter__())
        try:
            yield Explored(address)
        finally:
            run(page.__aexit__(None, None, None))
