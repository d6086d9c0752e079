r"""Minutes of mixed traffic with new versions and bad requests: nothing good fails, memory stays.

  python -m benchmarks.soak --exports=ncf=EXPORT/ncf,vae_cf=EXPORT/vae_cf --users=users.csv \
      --other_exports=ncf=OTHER/ncf,vae_cf=OTHER/vae_cf --minutes=10

Starts `serving.local_server` on copies of the exports, and asks over REST and gRPC, by several
signatures' forms, from 8 clients at once. Every --publish_seconds a new version of each model
appears, by turns of --exports and --other_exports, the same model trained otherwise; one request in
ten is malformed. Fails, with exit code 1, where

- a good request gets an error, or an answer that is neither export's to its user,
- a malformed one gets none, or one of another form or code than TF Serving's,
- a client ends early, or a model was never asked over one of the protocols,
- memory grows by more than 5% after the first minute (runs of two minutes and more), or
- a version that was published is not served in the end.
"""

from __future__ import annotations

import itertools
import json
import os
import random
import shutil
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # before TensorFlow is loaded

import psutil
from absl import app, flags

from benchmarks.malformed import over_grpc, over_rest
from benchmarks.served import Asked, asked_of, exports_of, server
from data.command_line import EXIT_BAD_INPUT, no_argument, parse_flags
from data.errors import InputError
from serving.client import Client
from serving.client.in_process import InProcessTransport
from serving.client.recommender import Recommender
from serving.server.servable import Servable

_EXPORTS = flags.DEFINE_list("exports", None, "Exports by model name: NAME=FOLDER, by comma.")
_OTHERS = flags.DEFINE_list("other_exports", None, "What every second version is a copy of.")
_USERS = flags.DEFINE_string("users", None, "Parquet or CSV with a column `user`.")
_MINUTES = flags.DEFINE_float("minutes", 10.0, "How long.", lower_bound=0.1)
_PUBLISH = flags.DEFINE_float("publish_seconds", 30.0, "Between new versions.", lower_bound=0.5)
_FLAGS = flags.DEFINE_list("server_flags", ["--enable_batching"], "More flags of the server.")
_CLIENTS = 8
_PROTOCOLS = ("rest", "grpc")
_MALFORMED = "malformed by {}"
_BAD_SHARE = 0.1
_K = 10
_GROWTH = 1.05
_SETTLED_SECONDS = 60.0
_LAST_SECONDS = 60.0  # for the last version to take over

Lists = dict[tuple[str, int], list[list[int | str]]]


def expected_lists(asked: dict[str, Asked], folders: dict[str, list[Path]]) -> Lists:
    """Returns what each version folder answers to each user, without a server."""
    found: Lists = {}
    for model, each in asked.items():
        for folder in folders[model]:
            servable = Servable(model, 1, folder)
            with Recommender(InProcessTransport(servable)) as recommender:
                for user in _users(each):
                    found.setdefault((model, user), []).append(_items(recommender, user))
    return found


def _users(asked: Asked) -> list[int]:
    return [int(row["user"][0]) for row in asked.rows]


def _items(model: Recommender, user: int) -> list[int | str]:
    return [r.item for r in model.recommend(user, _K).recommendations]


class Soak:
    """The traffic and what came of it.

    Args:
        asked: What models are asked, by name.
        expected: The lists that each user may get.
        addresses: Of the server, by protocol.
    """

    def __init__(self, asked: dict[str, Asked], expected: Lists, addresses: dict[str, str]) -> None:
        self.asked = asked
        self.addresses = addresses
        self.counts: Counter[str] = Counter()
        self.faults: list[str] = []
        self.ended = threading.Event()
        self._expected = expected

    def client(self, number: int) -> None:
        """Asks until the end."""
        protocol, draw = _PROTOCOLS[number % len(_PROTOCOLS)], random.Random(number)
        ask_badly = (over_rest if protocol == "rest" else over_grpc)(self.addresses[protocol])
        clients = {m: Client(self.addresses[protocol], m, 30, retries=0) for m in self.asked}
        users = {model: _users(each) for model, each in self.asked.items()}
        for turn in itertools.count():
            if self.ended.is_set():
                break
            model = draw.choice(list(clients))
            try:
                if draw.random() < _BAD_SHARE:
                    fault, kind = ask_badly(model, turn), _MALFORMED.format(protocol)
                else:
                    user, excluding = draw.choice(users[model]), draw.random() < 1 / 3
                    fault = self._ask(clients[model], model, user, excluding)
                    kind = f"{model} by {protocol}"
            except Exception as error:  # whatever it is, the traffic goes on and it is told
                fault, kind = f"{type(error).__name__}: {error}", "failed"
            self.counts[kind] += 1
            if fault:
                self.faults.append(f"{model} by {protocol}: {fault}")
        for client in clients.values():
            client.close()

    def _ask(self, client: Client, model: str, user: int, excluding: bool) -> str:
        if excluding:
            answer = client.recommend(user, _K, exclude=[-1], allow=[-1, -1])
            found = [r.item for r in answer.recommendations]
        else:
            found = _items(client, user)
        return "" if found in self._expected[model, user] else f"user {user} got another list"

    def missing(self) -> list[str]:
        """Returns a fault for each kind of request that was never sent."""
        kinds = [f"{model} by {protocol}" for model in self.asked for protocol in _PROTOCOLS]
        kinds += [_MALFORMED.format(protocol) for protocol in _PROTOCOLS]
        return [f"never asked: {kind}" for kind in kinds if not self.counts[kind]]


def publish(sources: dict[str, list[Path]], served: dict[str, Path], version: int) -> None:
    """Copies exports to a new version, which appears whole; the one before the last goes."""
    for name, folder in served.items():
        partial = folder / f".{version}.partial"
        shutil.copytree(sources[name][version % len(sources[name])], partial)
        partial.rename(folder / str(version))
        shutil.rmtree(folder / str(version - 2), ignore_errors=True)


def watch(
    process: psutil.Process, sources: dict[str, list[Path]], served: dict[str, Path], soak: Soak
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


def growth(memory: list[tuple[float, int]]) -> float | None:
    """Returns the highest memory of the last minute over that of the first after it settled.

    None where there is less than a minute after that.
    """
    settled = [size for passed, size in memory if passed >= _SETTLED_SECONDS]
    if not settled or memory[-1][0] < 2 * _SETTLED_SECONDS - 2:
        return None
    window = min(60, len(settled) // 2)
    return max(settled[-window:]) / max(settled[:window])


def run() -> int:
    """Runs the traffic; returns the exit code.

    Raises:
        InputError: An export that cannot be asked, or a server that does not start.
    """
    users = Path(_USERS.value) if _USERS.value else None
    exports = exports_of(_EXPORTS.value)
    asked = {name: asked_of(name, path, users) for name, path in exports.items()}
    sources = {name: [each.version] for name, each in asked.items()}
    for name, path in exports_of(_OTHERS.value).items() if _OTHERS.value else ():
        sources[name].append(asked_of(name, path, users).version)
    with tempfile.TemporaryDirectory() as scratch:
        served = {name: Path(scratch, name) for name in asked}
        publish(sources, served, 1)
        expected = expected_lists(asked, sources)
        with server(served, _FLAGS.value or []) as (addresses, process):
            soak = Soak(asked, expected, addresses)
            threads = [threading.Thread(target=soak.client, args=[n]) for n in range(_CLIENTS)]
            for thread in threads:
                thread.start()
            try:
                memory = watch(psutil.Process(process.pid), sources, served, soak)
                dead = sum(not thread.is_alive() for thread in threads)
            finally:
                soak.ended.set()
                for thread in threads:
                    thread.join()
    soak.faults += [*soak.missing(), *["a client ended early"] * dead]
    return verdict(soak, growth(memory))


def verdict(soak: Soak, grown: float | None) -> int:
    """Prints what came of it; returns the exit code."""
    print(json.dumps(soak.counts, indent=2))
    for fault, count in Counter(soak.faults).most_common(10):
        print(f"FAULT x {count}: {fault}")
    if grown is None:
        print("memory: not judged in less than two minutes")
    else:
        print(f"memory after the first minute: {grown - 1:+.1%}, at most {_GROWTH - 1:+.0%}")
    is_well = not soak.faults and (grown is None or grown <= _GROWTH)
    print("All good" if is_well else "NOT as it should be")
    return 0 if is_well else 1


def main(argv: list[str]) -> None:
    """Runs the traffic and says what came of it."""
    no_argument(argv)
    try:
        sys.exit(run())
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(EXIT_BAD_INPUT)


if __name__ == "__main__":
    app.run(main, flags_parser=parse_flags)
