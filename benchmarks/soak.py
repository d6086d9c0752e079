r"""Minutes of mixed traffic with new versions and bad requests: nothing good fails, memory stays.

  python -m benchmarks.soak --exports=ncf=EXPORT/ncf,vae_cf=EXPORT/vae_cf --users=users.csv \
      --minutes=10

Starts `serving.local_server` on copies of the exports, and asks over REST and gRPC, by several
signatures' forms, from 8 clients at once. Every --publish_seconds a new version of each model
appears; one request in ten is malformed. Fails, with exit code 1, where

- a good request gets an error, or an answer that is not its user's,
- a malformed one gets none, or one of another form or code than TF Serving's,
- memory grows by more than 5% after the first minute, or
- a version that was published is not served in the end.
"""

from __future__ import annotations

import itertools
import json
import os
import shutil
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # before TensorFlow is loaded

import psutil
import requests
from absl import app, flags

from benchmarks.served import Asked, asked_of, exports_of, server
from serving.client import Client, RequestError

_EXPORTS = flags.DEFINE_list("exports", None, "Exports by model name: NAME=FOLDER, by comma.")
_USERS = flags.DEFINE_string("users", None, "Parquet or CSV with a column `user`.")
_MINUTES = flags.DEFINE_float("minutes", 10.0, "How long.", lower_bound=0.1)
_PUBLISH = flags.DEFINE_float("publish_seconds", 30.0, "Between new versions.", lower_bound=0.5)
_FLAGS = flags.DEFINE_list("server_flags", ["--enable_batching"], "More flags of the server.")
_CLIENTS = 8
_GROWTH = 1.05
_SETTLED_SECONDS = 60.0
_LAST_SECONDS = 60.0  # for the last version to take over

# Malformed requests by what is wrong: method, path after the model, body, and the status expected.
_BAD: dict[str, tuple[str, str, str, int]] = {
    "no JSON": ("POST", ":predict", "{instances", 400),
    "missing input": ("POST", ":predict", '{"instances": [{"user": 1}]}', 400),
    "wrong type": ("POST", ":predict", '{"inputs": {"user": [1.5], "k": [3]}}', 400),
    "k of 0": ("POST", ":predict", '{"inputs": {"user": [1], "k": [0]}}', 400),
    "unknown signature": ("POST", ":predict", '{"signature_name": "x", "inputs": [1]}', 400),
    "unknown version": ("POST", "/versions/999999:predict", '{"inputs": [1]}', 404),
    "no such call": ("POST", ":explain", "{}", 400),
    "not classified": ("POST", ":classify", '{"examples": [{"x": 1}]}', 400),
}


class Soak:
    """The traffic and what came of it."""

    def __init__(self, asked: dict[str, Asked], addresses: dict[str, str]) -> None:
        self.asked = asked
        self.addresses = addresses
        self.counts: Counter[str] = Counter()
        self.faults: list[str] = []
        self.ended = threading.Event()
        self._expected: dict[tuple[str, int], list[int | str]] = {}
        for model, each in asked.items():
            with Client(addresses["rest"], model, timeout=30) as client:
                for row in each.rows:
                    user = int(row["user"][0])
                    self._expected[model, user] = self._items(client, user)

    @staticmethod
    def _items(client: Client, user: int) -> list[int | str]:
        return [r.item for r in client.recommend(user, 10).recommendations]

    def client(self, number: int) -> None:
        """Asks until the end."""
        protocol = ("rest", "grpc")[number % 2]
        clients = {m: Client(self.addresses[protocol], m, 30, retries=0) for m in self.asked}
        session = requests.Session()
        for turn in itertools.count(number):
            if self.ended.is_set():
                break
            model = list(self.asked)[turn % len(self.asked)]
            if turn % 10 == 0:
                self._ask_badly(session, model, list(_BAD)[turn // 10 % len(_BAD)])
            else:
                self._ask(clients[model], protocol, model, turn)
        for client in clients.values():
            client.close()

    def _ask(self, client: Client, protocol: str, model: str, turn: int) -> None:
        rows = self.asked[model].rows
        user = int(rows[turn * 7919 % len(rows)]["user"][0])
        try:
            if turn % 3:
                found = self._items(client, user)
            else:
                answer = client.recommend(user, 10, exclude=[-1], allow=[-1, -1])
                found = [r.item for r in answer.recommendations]
        except RequestError as error:
            self._fault(f"{model} by {protocol}: {error}")
            return
        self.counts[f"{model} by {protocol}"] += 1
        if found != self._expected[model, user]:
            self._fault(f"{model} by {protocol}: user {user} got another list")

    def _ask_badly(self, session: requests.Session, model: str, name: str) -> None:
        method, path, body, status = _BAD[name]
        url = f"{self.addresses['rest']}/v1/models/{model}{path}"
        answer = session.request(method, url, data=body, timeout=30)
        self.counts["malformed"] += 1
        if answer.status_code != status or list(answer.json()) != ["error"]:
            self._fault(f"'{name}' got {answer.status_code}: {answer.text[:100]}")

    def _fault(self, text: str) -> None:
        self.faults.append(text)


def publish(sources: dict[str, Path], served: dict[str, Path], version: int) -> None:
    """Copies each export to a new version, which appears whole; the one before the last goes."""
    for name, folder in served.items():
        partial = folder / f".{version}.partial"
        shutil.copytree(sources[name], partial)
        partial.rename(folder / str(version))
        shutil.rmtree(folder / str(version - 2), ignore_errors=True)


def watch(
    process: psutil.Process, sources: dict[str, Path], served: dict[str, Path], soak: Soak
) -> list[tuple[float, int]]:
    """Publishes and measures memory until the time is over; returns bytes by second."""
    begin, memory, version = time.monotonic(), [], 1
    while (passed := time.monotonic() - begin) < _MINUTES.value * 60:
        if passed > version * _PUBLISH.value:
            version += 1
            publish(sources, served, version)
        memory.append((passed, process.memory_info().rss))
        if len(memory) % 60 == 0:
            print(f"{passed:4.0f} s: {memory[-1][1] / 2**20:,.0f} MiB, version {version}, "
                  f"{dict(soak.counts)}, {len(soak.faults)} faults", flush=True)  # fmt: skip
        time.sleep(1)
    soak.faults += [fault for model in served if (fault := _last_version(soak, model, version))]
    return memory


def _last_version(soak: Soak, model: str, version: int) -> str:
    """Returns a fault, if the last version does not come to be the only one."""
    deadline = time.monotonic() + _LAST_SECONDS
    with Client(soak.addresses["rest"], model, timeout=30) as client:
        while (found := client.versions()) != {version: "AVAILABLE"}:
            if time.monotonic() > deadline:
                return f"{model}: {found}, not {version} alone"
            time.sleep(0.5)
    return ""


def growth(memory: list[tuple[float, int]]) -> float:
    """Returns the highest memory of the last minute over that of the first after it settled."""
    settled = [size for passed, size in memory if passed >= _SETTLED_SECONDS] or [memory[0][1]]
    window = min(60, max(1, len(settled) // 2))
    return max(settled[-window:]) / max(settled[:window])


def main(argv: list[str]) -> None:
    """Runs the traffic and says what came of it."""
    del argv
    users = Path(_USERS.value) if _USERS.value else None
    asked = {n: asked_of(n, path, users) for n, path in exports_of(_EXPORTS.value).items()}
    sources = {name: each.version for name, each in asked.items()}
    with tempfile.TemporaryDirectory() as scratch:
        served = {name: Path(scratch, name) for name in asked}
        publish(sources, served, 1)
        with server(served, _FLAGS.value or []) as (addresses, process):
            soak = Soak(asked, addresses)
            threads = [threading.Thread(target=soak.client, args=[n]) for n in range(_CLIENTS)]
            for thread in threads:
                thread.start()
            try:
                memory = watch(psutil.Process(process.pid), sources, served, soak)
            finally:
                soak.ended.set()
                for thread in threads:
                    thread.join()
    sys.exit(verdict(soak, growth(memory)))


def verdict(soak: Soak, grown: float) -> int:
    """Prints what came of it; returns the exit code."""
    print(json.dumps(soak.counts, indent=2))
    for fault, count in Counter(soak.faults).most_common(10):
        print(f"FAULT x {count}: {fault}")
    print(f"memory after the first minute: {grown - 1:+.1%}, at most {_GROWTH - 1:+.0%}")
    is_well = not soak.faults and grown <= _GROWTH
    print("All good" if is_well else "NOT as it should be")
    return 0 if is_well else 1


if __name__ == "__main__":
    app.run(main)
