"""The explorer's API: the answers of the bare signatures, and clear errors."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import requests
import tensorflow as tf
from answers import pasts
from conftest import Exported, ExportOf, Serve, save_run
from explored import Explored, explored

from configs.runs import load_run
from data.assemble import PrepareOptions, prepare
from data.dataset import PreparedDataset
from data.errors import InputError
from data.interactions import Interactions
from data.splits import SplitOptions
from serving.explore.answers import agreement
from serving.explore.catalogue import Catalogue
from serving.explore.models import open_model
from serving.explore.questions import MAX_IDS, MAX_K
from serving.explore.web import MAX_BODY_BYTES, allowed_hosts
from serving.publishing import ExportOptions
from serving.writing import export

STRANGER = "1000000000"


@pytest.fixture(scope="module")
def page(quick_export: ExportOf) -> Iterator[Explored]:
    """Two models of the same items, by user id and by history."""
    with explored([quick_export("mf").path.parent, quick_export("vae_cf").path]) as served:
        yield served


@pytest.fixture(scope="module")
def unlike(quick_export: ExportOf) -> Iterator[Explored]:
    """A model of text ids in time order, and one of labelled rows."""
    with explored([quick_export("bert4rec").path, quick_export("census").path]) as served:
        yield served


def bare(exported: Exported, k: int, user: int = -1, **given: Any) -> list[tuple[str, float]]:
    """Asks the signature itself."""
    asked = {
        name: tf.constant([given.get(name, [])], tf.int64)
        for name in ("history", "exclude", "allow")
    }
    answer = exported.signatures["recommend"](
        user=tf.constant([user], tf.int64),
        k=tf.constant([k]),
        exclude_seen=tf.constant([given.get("exclude_seen", True)]),
        **asked,
    )
    pairs = zip(answer["items"].numpy()[0], answer["scores"].numpy()[0], strict=True)
    return [(str(item), float(score)) for item, score in pairs if item != -1]


def assert_same(shown: list[dict[str, Any]], expected: list[tuple[str, float]]) -> None:
    assert [item["id"] for item in shown] == [item for item, _ in expected]
    scores = [item["score"] for item in shown]
    np.testing.assert_allclose(scores, [score for _, score in expected], rtol=1e-6)


@pytest.mark.parametrize("name", ["mf", "vae_cf"])
def test_lists_are_those_of_the_bare_signature(
    page: Explored, quick_export: ExportOf, name: str
) -> None:
    exported, place = quick_export(name), ["mf", "vae_cf"].index(name)
    user = exported.run.data.raw_ids("user")[3]
    items = exported.run.data.raw_ids("item")[:6].tolist()
    known = page.lists(user=str(user), k=7)[place]
    assert_same(known["items"], bare(exported, 7, int(user)))
    assert not known["is_popular"]
    filtered = {"history": items[:2], "exclude": items[2:3], "allow": items}
    texts = {name: [str(item) for item in ids] for name, ids in filtered.items()}
    for exclude_seen in (True, False):
        shown = page.lists(**texts, k=10, exclude_seen=exclude_seen)[place]
        expected = bare(exported, 10, **filtered, exclude_seen=exclude_seen)
        assert len(expected) == (3 if exclude_seen else 5)
        assert_same(shown["items"], expected)


def test_stored_past_of_a_user(page: Explored, unlike: Explored, quick_export: ExportOf) -> None:
    """The last first where the model knows an order, else the most popular: ids are by count."""
    for name, found in (("mf", page), ("bert4rec", unlike)):
        data = quick_export(name).run.data
        raw = data.raw_ids("item")
        taken = pasts(quick_export(name))[5]
        expected = sorted(set(taken)) if name == "mf" else taken[::-1]
        past = found.lists(user=str(data.raw_ids("user")[3]))[0]["past"]
        assert [item["id"] for item in past["items"]] == [str(raw[i - 2]) for i in expected]
        assert past["total"] == len(expected)
        assert past["is_in_time_order"] == (name == "bert4rec")


def test_strangers_and_unknown_items_are_told(page: Explored, quick_export: ExportOf) -> None:
    item = str(quick_export("mf").run.data.raw_ids("item")[0])
    for answer in page.lists(user=STRANGER):
        assert answer["is_popular"]
        assert answer["unknown_share"] == 1.0
        assert answer["past"]["items"] == []
        assert answer["past"]["total"] == 0
    for answer in page.lists(history=[f"0{item}"]):  # as a number, a known id
        assert answer["unknown_items"] == []
    for answer in page.lists(history=[item, STRANGER]):
        assert not answer["is_popular"]
        assert answer["unknown_share"] == 0.5
        assert answer["unknown_items"] == [STRANGER]


def test_one_models_refusal_does_not_hide_the_other(page: Explored, unlike: Explored) -> None:
    texts, rows = unlike.lists(history=["i0", "i2"])
    assert len(texts["items"]) == 10
    assert rows == {"error": "This model scores rows only; see the tab Score."}
    for answer in page.lists(user="anna"):
        assert answer["error"] == "The user must be a whole number. Received: 'anna'."
    for answer in page.lists(history=["-1"]):
        assert "An item of history must not be -1" in answer["error"]


def test_scores_are_those_of_the_bare_signature(
    page: Explored, unlike: Explored, quick_export: ExportOf
) -> None:
    row = {"age": "39", "work": "b", "code": "-1", "rare": "?"}
    expected = quick_export("census").signatures["score"](
        age=tf.constant([39.0]),
        work=tf.constant(["b"]),
        code=tf.constant([-1], tf.int64),
        rare=tf.constant(["?"]),
    )
    scored = unlike.scores(**row)[1]
    assert scored["probability"] == pytest.approx(expected["probability"].numpy()[0], rel=1e-6)
    missing, default = (unlike.scores(**row | {"age": age})[1] for age in ("", "30"))
    assert missing == default != scored
    assert unlike.scores(**row | {"age": "old"})[1]["error"].startswith("age must be a number.")
    assert unlike.scores()[1]["error"] == "code must be a whole number. Received: ''."
    user, item = (str(quick_export("mf").run.data.raw_ids(f)[0]) for f in ("user", "item"))
    known, stranger = page.scores(user=user, item=item), page.scores(user=STRANGER, item=item)
    assert [answer["is_known"] for answer in known] == [True, True]
    assert [answer["is_known"] for answer in stranger] == [False, False]


def test_models_describe_themselves(
    page: Explored, unlike: Explored, quick_export: ExportOf
) -> None:
    mf, vae = requests.get(f"{page.url}api/models", timeout=60).json()["models"]
    assert (mf["name"], mf["version"], vae["name"]) == ("ncf variant=mf", 1, "vae_cf")
    assert mf["items"] == vae["items"] == len(quick_export("mf").run.data.raw_ids("item"))
    assert mf["card"]["results"]["metrics"] == {"ndcg@10/full": 0.25}
    assert page.lists(user=mf["users"][-1])[0]["is_popular"] is False
    text, census = requests.get(f"{unlike.url}api/models", timeout=60).json()["models"]
    assert text["recommends"]
    assert not census["recommends"]
    kinds = {entry["name"]: entry["kind"] for entry in census["inputs"]}
    assert kinds == {"age": "number", "code": "integer", "rare": "text", "work": "text"}
    # The example of the export can be asked as it is.
    assert "probability" in unlike.scores(**census["row"])[1]


def test_served_models_answer_as_the_export(
    serve: Serve, quick_export: ExportOf, page: Explored
) -> None:
    url = serve({"mf": quick_export("mf").path.parent})
    user = str(quick_export("mf").run.data.raw_ids("user")[0])
    address = f"{url}/v1/models/mf"
    with explored([address, f"{address}/versions/1"]) as served:
        for answer in served.lists(user=user):
            assert answer["past"] is None
            assert answer["items"] == [
                {**item, "title": None} for item in page.lists(user=user)[0]["items"]
            ]
        mf = requests.get(f"{served.url}api/models", timeout=60).json()["models"][0]
        assert (mf["name"], mf["version"], mf["card"]) == ("mf", None, None)


def test_agreement_of_two_lists() -> None:
    def answer(text: str) -> dict[str, Any]:
        return {"items": [{"id": letter} for letter in text]}

    # Of the pairs of b, c, d, in the second list as c, d, b, one agrees and two do not.
    found = agreement([answer("abcd"), answer("cdxb")])
    assert found == {"shared": 3, "longest": 4, "kendall_tau": pytest.approx(-1 / 3)}
    assert agreement([answer("ab"), answer("bcd")]) == {
        "shared": 1,
        "longest": 3,
        "kendall_tau": None,
    }
    assert agreement([answer("ab")]) is None
    assert agreement([answer("ab"), {"error": "no"}]) is None


def test_search() -> None:
    titles = {"1": "Les Misérables", "2": "Star Wars", "12": "The Star", "7": "War and Stars"}
    catalogue = Catalogue(titles, ["12", "2", "30"])
    assert catalogue.search("STAR", 9) == ["2", "12", "7"]
    assert catalogue.search("war star", 9) == ["2", "7"]
    assert catalogue.search("miserables", 9) == ["1"]
    assert catalogue.search("2", 9) == ["2", "12"]
    assert catalogue.search("", 3) == ["12", "2", "30"]
    assert catalogue.search("nothing", 9) == []


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, "A user or a history must be given."),
        ([], "A request must be a JSON object."),
        ({"user": 5}, "user must be text of 1 to 1000 characters."),
        ({"user": "5", "k": 0}, f"k must be a whole number from 1 to {MAX_K}."),
        ({"user": "5", "k": True}, "k must be a whole number"),
        ({"user": "5", "exclude_seen": "no"}, "exclude_seen must be true or false."),
        ({"history": "5"}, f"history must be a list of at most {MAX_IDS} ids."),
        ({"history": ["1"] * (MAX_IDS + 1)}, "history must be a list"),
        ({"history": [""]}, "history must be text of 1 to"),
        ({"users": ["5"]}, "Unknown field. Received: users."),
    ],
)
def test_bad_questions_get_an_error(page: Explored, body: Any, message: str) -> None:
    answer = page.post("recommend", body)
    assert answer.status_code == 400
    assert answer.json()["error"].startswith(message)


def test_bad_requests_get_an_error(page: Explored) -> None:
    def status(method: str, path: str, **more: Any) -> int:
        answer = requests.request(method, page.url + path, timeout=60, **more)
        assert answer.json()["error"]
        assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")
        return answer.status_code

    json_type = {"Content-Type": "application/json"}
    assert status("POST", "api/recommend", data='{"user": "5"}') == 400
    assert status("POST", "api/recommend", data="{", headers=json_type) == 400
    assert status("POST", "api/score", data="[" * 9_000, headers=json_type) == 400
    assert status("POST", "api/score", data="1" * (MAX_BODY_BYTES + 1), headers=json_type) == 413
    assert status("GET", "api/recommend") == 405
    assert status("GET", "../../../etc/passwd") == 404
    assert status("GET", "page/%2e%2e/web.py") == 404


def test_other_names_of_this_machine_are_refused(page: Explored) -> None:
    for name, expected in (("evil.example", 403), ("localhost:1", 200), ("127.0.0.1", 200)):
        answer = requests.get(f"{page.url}api/models", headers={"Host": name}, timeout=60)
        assert answer.status_code == expected
    assert allowed_hosts("0.0.0.0") is None
    assert allowed_hosts("::1") == {"localhost", "127.0.0.1", "[::1]"}


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("{folder}", "The export must hold the version. Received: no version."),
        ("http://127.0.0.1:1/ncf", "The address of a served model must name the model."),
        ("http://127.0.0.1:1/v1/models/ncf", "The server must answer."),
        (
            "{half}",
            "must have the signature recommend or score to be explored. Received: .*describe",
        ),
    ],
)
def test_what_cannot_be_explored(
    source: str, message: str, tmp_path: Path, half_plus_two: Path
) -> None:
    with pytest.raises(InputError, match=message):
        open_model(source.format(folder=tmp_path, half=half_plus_two))


def test_command_serves_until_ctrl_c(quick_export: ExportOf, tmp_path: Path) -> None:
    titles = tmp_path / "titles.tsv"
    titles.write_text("id\ttitle\n5\tFifth\n", encoding="utf-8")
    command = [sys.executable, "-m", "serving.explore", str(quick_export("mf").path)]
    with subprocess.Popen(
        [*command, f"--titles={titles}"],
        cwd=Path(__file__).parents[2],
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        line = next(line for line in process.stderr if " shows " in line)
        url = line.split("] ")[1].split()[0]
        assert "shows ncf variant=mf; Ctrl-C ends it" in line
        found = requests.get(f"{url}api/search", params={"text": "fifth"}, timeout=60)
        assert found.json() == {"items": [{"id": "5", "title": "Fifth"}]}
        process.send_signal(signal.SIGINT)
        rest = process.stderr.read()
        assert process.wait(timeout=30) == 0
    assert "stopped" in rest
    assert "Traceback" not in rest


def test_titles_of_the_dataset_are_in_the_export(tmp_path: Path) -> None:
    events = pl.DataFrame(
        {"user": [1, 1, 1, 2, 2, 2], "item": [5, 9, 4, 9, 5, 4], "time": range(6)}
    )
    source = Interactions("titled", events)
    source.add_item_titles({"5": "Fifth", "9": "Ninth"})
    folder = tmp_path / "data"
    prepare(source, PrepareOptions(split=SplitOptions("leave_last_out"), negatives=1), folder)
    run = load_run(save_run(PreparedDataset(folder), tmp_path / "run", "popularity"))
    version = export(run, tmp_path / "export", ExportOptions(is_verified=False))
    assert open_model(str(version)).titles == {"5": "Fifth", "9": "Ninth"}
    with pytest.raises(InputError, match=f"holds version folders.*it is in: {version.parent}"):
        export(run, version, ExportOptions(is_verified=False))


def test_busy_port_is_one_clear_error(quick_export: ExportOf) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with (
            pytest.raises(InputError, match=rf"listen on 127\.0\.0\.1:{port}.*another port"),
            explored([quick_export("vae_cf").path], port=port),
        ):
            pass
