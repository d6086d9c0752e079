"""Lists for a whole file of users: those that the served model gives, whatever interrupts them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from answers import STRANGER, assert_lists, model_scores, pasts
from conftest import Exported, ExportOf

from data.errors import InputError
from serving import user_lists
from serving.signatures.request_checks import MAX_K, MAX_ROWS
from serving.user_lists import MANIFEST_FILE, plan, recommend_all
from serving.users_file import read_users
from tests.commands import run_module

K = 7


def run(users: Path, out: Path, exported: Exported, rows_per_file: int = 50) -> int:
    wanted = plan(exported.path.parent, None, users, "user", K, rows_per_file)
    return recommend_all(wanted, out, 16, lambda line: None)


def read(out: Path) -> pl.DataFrame:
    return pl.read_parquet(out / "*.parquet")


def test_lists_are_those_of_the_trainer_and_strangers_are_marked(
    neumf: Exported, tmp_path: Path
) -> None:
    raw = [*neumf.run.data.raw_ids("user").tolist(), STRANGER]
    pl.DataFrame({"other": raw, "user": raw}).write_parquet(tmp_path / "users.parquet")
    assert run(tmp_path / "users.parquet", tmp_path / "out", neumf) == len(raw)
    assert len(list((tmp_path / "out").glob("*.parquet"))) == -(-len(raw) // 50)
    lists = read(tmp_path / "out")
    assert lists["user"].to_list() == raw
    assert lists["is_popular"].to_list() == [False] * (len(raw) - 1) + [True]
    expected = model_scores(neumf, list(range(2, 60)))
    for row in range(58):
        items, scores = (lists[name][row].to_numpy() for name in ("items", "scores"))
        assert_lists(items, scores, neumf, expected[row], set(pasts(neumf)[row + 2]))
    assert json.loads((tmp_path / "out" / MANIFEST_FILE).read_text())["rows"] == len(raw)


def test_text_ids_from_csv_by_the_command(bert_text: Exported, tmp_path: Path) -> None:
    (tmp_path / "users.csv").write_text("customer\nu3\nnobody\nu0\n")
    flags = [f"--export_dir={bert_text.path.parent}", f"--users={tmp_path}/users.csv"]
    flags += [f"--out={tmp_path}/out", "--k=100"]
    refused = run_module("serving.batch", *flags)
    assert refused.returncode == 2
    assert "must have a column 'user'. Received: customer." in refused.stderr
    assert "as --user_column" in refused.stderr
    for flag, most in (("batch_size", MAX_ROWS), ("k", MAX_K)):
        too_many = run_module("serving.batch", *flags, f"--{flag}={most + 1}")
        assert too_many.returncode == 2
        assert f"[1, {most}]" in too_many.stderr
    # Nothing was begun by the refused run that the right one would have to go on with.
    done = run_module("serving.batch", *flags, "--user_column=customer")
    assert done.returncode == 0, done.stderr
    lists = read(tmp_path / "out")
    assert lists["user"].to_list() == ["u3", "nobody", "u0"]
    assert lists["is_popular"].to_list() == [False, True, False]
    # Of 40 items each user has taken the 20 of its colour.
    assert set(lists["items"][2].to_list()) == {f"i{n}" for n in range(1, 40, 2)}
    assert "3 users in" in done.stderr


def test_an_interrupted_run_goes_on(
    neumf: Exported, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = neumf.run.data.raw_ids("user").tolist()
    pl.DataFrame({"user": raw}).write_csv(tmp_path / "users.csv")
    run(tmp_path / "users.csv", tmp_path / "whole", neumf)
    asked: list[int] = []

    def stop_at_third(*arguments: object) -> object:
        asked.append(len(arguments))
        if len(asked) == 9:  # in the third file, of 4 batches each
            raise KeyboardInterrupt
        return lists(*arguments)  # type: ignore[arg-type]

    lists = user_lists._lists
    monkeypatch.setattr(user_lists, "_lists", stop_at_third)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "users.csv", tmp_path / "out", neumf)
    assert not (tmp_path / "out" / MANIFEST_FILE).exists()
    assert [p.name for p in sorted((tmp_path / "out").glob("*.parquet"))] == [
        "part-00000.parquet",
        "part-00001.parquet",
    ]
    monkeypatch.setattr(user_lists, "_lists", lists)
    with pytest.raises(InputError, match="Received: another rows_per_file"):
        run(tmp_path / "users.csv", tmp_path / "out", neumf, rows_per_file=60)
    asked_for = (tmp_path / "users.csv").read_text()
    (tmp_path / "users.csv").write_text(asked_for[::-1].strip())  # as many bytes
    with pytest.raises(InputError, match="Received: another users_sha256"):
        run(tmp_path / "users.csv", tmp_path / "out", neumf)
    (tmp_path / "users.csv").write_text(asked_for)
    run(tmp_path / "users.csv", tmp_path / "out", neumf)
    assert read(tmp_path / "out").equals(read(tmp_path / "whole"))


def test_other_weights_in_the_same_version_are_other_lists(neumf: Exported, tmp_path: Path) -> None:
    (tmp_path / "users.csv").write_text("user\n1\n")
    version = tmp_path / "export" / "1"
    shutil.copytree(neumf.path, version)
    before = plan(version.parent, None, tmp_path / "users.csv", "user", K, 10)
    assert plan(version.parent, None, tmp_path / "users.csv", "user", K, 10) == before
    index = version / "variables" / "variables.index"
    index.write_bytes(index.read_bytes()[:-1] + b"x")
    after = plan(version.parent, None, tmp_path / "users.csv", "user", K, 10)
    assert after.graph_sha256 == before.graph_sha256
    assert after != before


def test_types_of_other_columns_do_not_matter(tmp_path: Path) -> None:
    rows = 200_000  # more than Arrow looks at to guess a type
    lines = [f"{n},{n}" for n in range(rows)] + [f"{rows},SW1A"]
    (tmp_path / "users.csv").write_text("user,zip\n" + "\n".join(lines) + "\n")
    pieces = list(read_users(tmp_path / "users.csv", "user", False, rows))
    assert [len(piece) for piece in pieces] == [rows, 1]
    assert pieces[1].tolist() == [rows]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("person\n3\n", "must have a column 'user'. Received: person"),
        ("user\n3\nanna\n", "must be in a readable Parquet or CSV file, as int64"),
        ("user,x\n3,1\n,2\n", "Every row must name a user. Received: no value. At: "),
        ("", "must be in a readable Parquet or CSV file"),
    ],
)
def test_users_that_cannot_be_read(
    text: str, message: str, neumf: Exported, tmp_path: Path
) -> None:
    (tmp_path / "users.csv").write_text(text)
    with pytest.raises(InputError) as caught:
        run(tmp_path / "users.csv", tmp_path / "out", neumf)
    assert message in str(caught.value)
    assert "users.csv" in str(caught.value)


def test_numbers_of_another_type_are_taken_if_they_are_whole(
    neumf: Exported, tmp_path: Path
) -> None:
    raw = neumf.run.data.raw_ids("user")[:3]
    pl.DataFrame({"user": raw.astype(np.int32)}).write_parquet(tmp_path / "users.parquet")
    assert run(tmp_path / "users.parquet", tmp_path / "out", neumf) == 3
    pl.DataFrame({"user": [1.5]}).write_parquet(tmp_path / "other.parquet")
    with pytest.raises(InputError, match="Users of this model must be int64"):
        run(tmp_path / "other.parquet", tmp_path / "out2", neumf)


def test_what_cannot_be_begun(census: Exported, export_of: ExportOf, tmp_path: Path) -> None:
    (tmp_path / "users.csv").write_text("user\n1\n")
    with pytest.raises(InputError, match="must have the signature recommend_user"):
        run(tmp_path / "users.csv", tmp_path / "out", census)
    ncf = export_of("ncf")
    with pytest.raises(InputError, match=r"must hold the version. Received: versions \[1\]"):
        plan(ncf.path.parent, 9, tmp_path / "users.csv", "user", K, 10)
    with pytest.raises(InputError, match="The file of users must exist"):
        plan(ncf.path.parent, None, tmp_path / "none.csv", "user", K, 10)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="must be new, or hold an interrupted run"):
        run(tmp_path / "users.csv", tmp_path / "full", ncf)
