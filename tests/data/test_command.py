"""The command `data.prepare`: what it prints, what it refuses, and what it never touches."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from data.errors import InputError
from data.output import check_output
from data.schema import FORMAT
from tests.data.look_commands import Outcome, run_commands
from tests.data.raw_files import replace_line, says, write_1m, write_ncf
from tests.data.test_shipped_specs import write_adult

REPOSITORY = Path(__file__).parents[2]


def table(folder: Path) -> Path:
    rows = [f"{n % 4},{n // 4},{n}" for n in range(40)]
    rows[5:7], rows[9] = ["1,2", "3"], "1,x7,9"
    (folder / "sales.csv").write_text("user,item,at\n" + "\n".join(rows) + "\n")
    return folder / "sales.csv"


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Outcome]:
    """Returns what each command left, by a name for the command."""
    folder = tmp_path_factory.mktemp("command")
    ml, ncf = folder / "ml", folder / "ncf"
    ml.mkdir()
    write_1m(ml)
    replace_line(ml / "ratings.dat", 4, b"3::1")
    ncf.mkdir()
    write_ncf(ncf)
    replace_line(ncf / "tiny.train.rating", 3, b"0")
    sales = table(folder)
    columns = ["--dataset=table", f"--source={sales}", "--time_column=at", "--max_bad_lines=0.1"]
    new = f"--out={folder}/new"
    days = folder / "days.csv"
    rows = (f"k{n % 4};a{n // 4};2026-03-{n + 1:02d} 12:00" for n in range(28))
    days.write_text("kunde;artikel;am\n" + "\n".join(rows) + "\n")
    german = ["--dataset=table", f"--source={days}", "--separator=;", "--user_column=kunde"]
    german += ["--item_column=artikel", "--time_column=am", "--split=time"]
    adult = write_adult(folder / "adult")
    commands = {
        "table": [*columns, f"--out={folder}/table"],
        "again": [*columns, f"--out={folder}/table", "--overwrite", "--negatives=1000000000"],
        "movielens": ["--dataset=movielens_1m", f"--source={ml}", "--max_bad_lines=0.2"],
        "ncf": ["--dataset=ncf_authors", f"--source={ncf}", "--max_bad_lines=0.2"],
        "dates": [*german, "--validation_from=2026-03-15", "--test_from=2026-03-22T13:00+01:00"],
        "no_date": [*german, new, "--test_from=22.3.2026"],
        "late": [*german, new, "--test_from=2027-01-01"],
        "no_unit": [*columns, new, "--split=time", "--test_from=2026-03-22"],
        "in_file": [*columns, f"--out={sales}/x"],
        "source": [*columns, f"--out={folder}", "--overwrite"],
        "foreign": [*columns, f"--out={ml}", "--overwrite"],
        "no_user": [*columns, new, "--user_column="],
        "seed": [*columns, new, "--seed=-1"],
        "adult": ["--spec=adult", f"--source={adult}", f"--out={folder}/income"],
        "strong": [*columns, "--split=held_out_users", f"--out={folder}/strong"],
        "clicks": ["--dataset=synthetic", "--split=random", f"--out={folder}/clicks"],
        "unrated": [*columns, new, "--label_threshold=3"],
        "split_adult": ["--spec=adult", f"--source={adult}", new, "--split=random"],
        "both": [*columns, new, "--spec=adult"],
        "parts_of_table": [*columns, new, "--part_mib=1"],
        "no_such_spec": ["--spec=adutl", f"--source={adult}", new],
        "no_source": ["--spec=criteo", new],
    }
    commands["strong"] += ["--validation_users=1", "--test_users=1", "--fold_in=0.7"]
    small = ["--synthetic_users=20", "--synthetic_items=40", "--synthetic_ratings=200"]
    commands["clicks"] += [*small, "--label_threshold=3"]
    commands["movielens"].append(f"--out={folder}/movielens")
    commands["dates"].append(f"--out={folder}/dates")
    commands["ncf"].append(f"--out={folder}/tiny")
    left = run_commands("data.prepare", commands)
    assert (ml / "ratings.dat").is_file()
    assert not (folder / "new").exists()
    return left


@pytest.mark.parametrize(("name", "count"), [("table", 2), ("movielens", 1), ("ncf", 1)])
def test_summary_counts_the_skipped_lines(
    name: str, count: int, outcomes: dict[str, Outcome]
) -> None:
    assert outcomes[name].code == 0, outcomes[name].err
    assert f"\n  skipped lines: {count}\n" in outcomes[name].out


def test_summary_notes_ids_that_are_nearly_integers(outcomes: dict[str, Outcome]) -> None:
    note = "note: item ids are text, as 1 of 38 are no integers in plain spelling; "
    assert note + "the first is 'x7' (sales.csv, line 11)" in outcomes["table"].out
    assert "user ids are text" not in outcomes["table"].out


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("adult", ("test: 2 rows, 50.0% with label 1", "together: 42 rows")),
        ("strong", ("in training: 2 users", "of 1 users", "fold in interactions: 14")),
        ("dates", ("train: 14 ", "validation: 7 ", "test: 7 interactions of 4 users")),
        ("clicks", ("interactions of 20 users, ", "% with label 1", "at label threshold: ")),
    ],
)
def test_summaries_of_clicks_and_of_held_out_users(
    name: str, lines: tuple[str, ...], outcomes: dict[str, Outcome]
) -> None:
    assert outcomes[name].code == 0, outcomes[name].err
    assert re.search(says(*lines), outcomes[name].out, re.DOTALL), outcomes[name].out
    model = {"strong": "vae_cf", "dates": "ncf"}.get(name, "wide_deep")
    assert f"--model={model} " in outcomes[name].out


def test_help_explains_every_flag() -> None:
    command = [sys.executable, "-m", "data.prepare", "--help"]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)
    for text in ("--label_threshold", "--fold_in", "--part_mib", "--spec=criteo"):
        assert text in done.stdout


def test_prepared_dataset_is_overwritten_and_any_number_of_negatives_may_be_asked_for(
    outcomes: dict[str, Outcome],
) -> None:
    assert outcomes["again"].code == 0, outcomes["again"].err


@pytest.mark.parametrize(
    ("name", "code", "message"),
    [
        ("no_such_spec", 2, "Did you mean 'adult'?\n"),
        ("in_file", 2, "error: The output must be a folder that can be written"),
        ("source", 2, "error: The output folder must neither be the source nor hold it"),
        ("foreign", 2, "error: Only an empty folder or a prepared dataset may be overwritten"),
        ("no_user", 2, "error: --user_column must name a column of the file"),
        ("seed", 2, "error: flag --seed=-1"),
        ("unrated", 2, "error: A rating threshold needs ratings"),
        (
            "split_adult",
            2,
            "error: --split goes with --dataset only. Received: --spec=adult",
        ),
        (
            "no_date",
            2,
            "error: --test_from must be an integer in the unit of the source's times, or",
        ),
        ("no_date", 2, "Received: '22.3.2026'. For example 2026-03-01"),
        ("late", 2, "times 1772366400000000 (2026-03-01 if microseconds) to "),
        ("no_unit", 2, "what unit the source's integers have: write one of them."),
        ("both", 2, "error: Either --dataset or --spec must be given"),
        ("parts_of_table", 2, "error: --part_mib goes with --spec only"),
        ("no_source", 2, "error: --source must be given with --spec"),
    ],
)
def test_refusals(name: str, code: int, message: str, outcomes: dict[str, Outcome]) -> None:
    assert outcomes[name].code == code
    assert message in outcomes[name].err
    assert "Traceback" not in outcomes[name].err


@pytest.mark.parametrize(
    "content", [None, "{", "[]", '{"format": "of another program"}', '{"name": "x"}']
)
def test_overwrite_spares_every_folder_that_is_no_dataset(
    content: str | None, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    check_output(out, overwrite=True)
    (out / "thesis.tex").write_text("dear")
    if content is not None:
        (out / "schema.json").write_text(content)
    with pytest.raises(InputError, match=says("may be overwritten", "out", "remove the folder")):
        check_output(out, overwrite=True)
    (out / "schema.json").write_text(json.dumps({"format": FORMAT, "format_version": 99}))
    check_output(out, overwrite=True)
    with pytest.raises(InputError, match="pass --overwrite"):
        check_output(out, overwrite=False)


@pytest.mark.parametrize("overwrite", [False, True])
def test_output_is_neither_the_source_nor_around_it_nor_a_file(
    overwrite: bool, tmp_path: Path
) -> None:
    source = tmp_path / "data" / "ml"
    source.mkdir(parents=True)
    link = tmp_path / "link"
    link.symlink_to(source)
    for out in (source, tmp_path / "data", link, tmp_path / "data" / ".." / "data"):
        with pytest.raises(InputError, match=says("neither be the source", "--source=")):
            check_output(out, overwrite=overwrite, source=source)
    check_output(source / "prepared", overwrite=overwrite, source=source)
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=says("must be a folder", "something else")):
        check_output(tmp_path / "file", overwrite=overwrite)
