"""Requests to a server without pause, to see that none is dropped while its versions change."""

from __future__ import annotations

import threading
import time

from serving.client import Client


class Asking(threading.Thread):
    """Asks a server without pause.

    Args:
        url: Its address.
        task: Name of the task, which is the model's name there.
        known: A user and an item that every version knows.
    """

    def __init__(self, url: str, task: str, known: dict[str, int]) -> None:
        super().__init__(daemon=True)
        self._url, self._task, self._known = url, task, known
        self._is_over = threading.Event()
        self.answered = 0
        self.failed: list[Exception] = []

    def run(self) -> None:
        """Asks until `end`."""
        with Client(self._url, self._task, retries=0) as client:
            while not self._is_over.is_set():
                try:
                    if self._task == "ranking":
                        client.recommend(self._known["user"])
                    else:
                        client.score({name: [raw] for name, raw in self._known.items()})
                    self.answered += 1
                except Exception as error:
                    self.failed.append(error)
                time.sleep(0.05)

    def end(self, version: int) -> str:
        """Waits until a version is served. Returns what happened, for people."""
        with Client(self._url, self._task) as client:
            while client.versions().get(version) != "AVAILABLE":
                time.sleep(0.2)
        self._is_over.set()
        self.join()
        served = f"version {version} is served at the end"
        return f"{self.answered:,} requests answered, {len(self.failed)} failed; {served}"
