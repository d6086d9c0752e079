"""The client against the local server over real HTTP."""

from __future__ import annotations

import re
import shlex
import socket
import time
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from conftest import Exported, Serve, write_export

from data.assemble import PrepareOptions, prepare
from data.dataset import PreparedDataset
from data.errors import InputError
from data.interactions import Interactions
from serving.client import Client, RequestError
from serving.writing import example
from tests.commands import run_module

STRANGER = 10**9


@pytest.fixture(scope="module")
def url(serve: Serve, neumf: Exported, bert_text: Exported, census: Exported) -> str:
    exports = {"ncf": neumf, "text": bert_text, "census": census}
    return serve({name: exported.path.parent for name, exported in exports.items()})


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The base path of a model of integer users and text items."""
    folder = tmp_path_factory.mktemp("mixed")
    pairs = [(user, f"i{item}") for user in range(12) for item in range(user % 3, 12, 2)]
    events = pl.DataFrame(pairs, schema=["user", "item"], orient="row")
    events = events.with_columns(time=pl.int_range(pl.len()))
    prepare(Interactions("mixed", events), PrepareOptions(negatives=3), folder / "data")
    return write_export(PreparedDataset(folder / "data"), folder, "ncf", variant="mf").path.parent


def test_known_user(url: str, neumf: Exported) -> None:
    user = int(neumf.run.data.raw_ids("user")[0])
    answer = Client(url, "ncf").recommend(user, 5)
    items = [r.item for r in answer.recommendations]
    scores = [r.score for r in answer.recommendations]
    assert not answer.is_popular
    assert len(set(items)) == 5
    assert scores == sorted(scores, reverse=True)
    rest = Client(url, "ncf").recommend(user, 3, exclude=items[:2])
    assert [r.item for r in rest.recommendations] == items[2:]


def test_stranger_gets_popular_items(url: str, neumf: Exported) -> None:
    answer = Client(url, "ncf").recommend(STRANGER, 3)
    assert answer.is_popular
    assert len(answer.recommendations) == 3


def test_more_than_there_are(url: str, neumf: Exported) -> None:
    items = neumf.run.data.raw_ids("item").tolist()
    answer = Client(url, "ncf").recommend(STRANGER, 1_000)
    assert sorted(r.item for r in answer.recommendations) == sorted(items)


def test_history_of_text_ids(url: str) -> None:
    history = ["i0", "i2", "i4", "i6"]
    answer = Client(url, "text").recommend(history=history, k=40)
    assert not answer.is_popular
    assert {r.item for r in answer.recommendations} == {f"i{n}" for n in range(40)} - {*history}


def test_users_and_items_of_unlike_types(serve: Serve, mixed: Path) -> None:
    client = Client(serve({"mixed": mixed}), "mixed")
    known = client.recommend(3, 20, exclude=["i5"])
    assert not known.is_popular
    assert all(isinstance(r.item, str) and r.item != "i5" for r in known.recommendations)
    assert "i0" not in {r.item for r in client.recommend(history=["i0"], k=20).recommendations}


def test_neither_user_nor_history(url: str) -> None:
    with pytest.raises(InputError, match="recommend needs a user or a history"):
        Client(url, "ncf").recommend()


def test_servers_error_is_told(url: str) -> None:
    with pytest.raises(RequestError, match=r"400: .*k must be at least 1") as caught:
        Client(url, "ncf").recommend(1, 0)
    assert caught.value.code == "INVALID_ARGUMENT"
    with pytest.raises(RequestError, match="404: Servable not found for request: Latest"):
        Client(url, "other").recommend(1, 1)


def test_deadline_holds() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        client = Client(f"http://127.0.0.1:{silent.getsockname()[1]}", "ncf", timeout=0.2)
        started = time.perf_counter()
        with pytest.raises(InputError, match="The server must answer"):
            client.recommend(1, 1)
        assert time.perf_counter() - started < 5


def test_command_prints_a_table_and_marks_strangers(url: str, neumf: Exported) -> None:
    user = int(neumf.run.data.raw_ids("user")[0])
    flags = [f"--url={url}", "--model_name=ncf", f"--users={user},{STRANGER}", "--k=2"]
    done = run_module("serving.client", *flags)
    assert done.returncode == 0, done.stderr
    known, stranger = done.stdout.splitlines()
    assert known.startswith(f"user {user}: ")
    assert "unknown user" not in known
    assert stranger.startswith(f"user {STRANGER}: ")
    assert stranger.endswith("[unknown user: popular items]")


def test_score_of_pairs_and_of_rows(url: str, neumf: Exported, census: Exported) -> None:
    user, item = (int(neumf.run.data.raw_ids(f)[0]) for f in ("user", "item"))
    answer = Client(url, "ncf").score({"user": [user, STRANGER], "item": [item, item]})
    assert answer["is_known"] == [True, False]
    rows: dict[str, list[Any]] = {"work": ["a", "b"], "code": [3, -1], "rare": ["x", "y"]}
    answer = Client(url, "census").score({"age": [float("nan"), 20], **rows})
    again = Client(url, "census").score({"age": [30.0, 20.0], **rows})
    assert answer == again
    assert len(set(answer["probability"])) == 2


def test_model_without_users_recommends_nothing(url: str) -> None:
    with pytest.raises(InputError, match="must have the signature recommend"):
        Client(url, "census").recommend(history=[1])


def test_flags_that_the_export_prints_are_answered(url: str, census: Exported) -> None:
    flags = [f"--url={url}", "--model_name=census", *shlex.split(example(census.run))]
    done = run_module("serving.client", *flags)
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(r"row 1: probability 0\.\d{4}, logit -?\d+\.\d{4}\n", done.stdout)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], "--users or --features must be given"),
        (["--features={"], "--features must be JSON"),
        (['--features={"age": 39}'], "--features must hold a list of values by name"),
    ],
)
def test_command_names_wrong_flags(flags: list[str], message: str) -> None:
    done = run_module("serving.client", *flags)
    assert done.returncode == 2
    assert message in done.stderr


def test_command_with_a_text_id_names_the_flag() -> None:
    done = run_module("serving.client", "--users=anna")
    assert done.returncode == 2
    assert "Received: 'anna'. Pass --text_ids" in done.stderr


def test_command_without_a_server(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    done = run_module("serving.client", f"--url=http://127.0.0.1:{port}", "--users=1")
    assert done.returncode == 2
    assert "error: The server must answer." in done.stderr
    assert "Traceback" not in done.stderr
