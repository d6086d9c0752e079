"""Each leak that the audit knows: planted on purpose and found with its message."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from data.audit_rules.audit import Audit, AuditOptions, audit_dataset, audit_text
from data.audit_rules.row_keys import row_keys
from data.audit_rules.same_event import SameEvent
from data.blocks import Ragged
from data.dataset import PreparedDataset
from data.errors import InputError
from tests.data.look_commands import Outcome, change_schema, run_commands
from tests.data.raw_files import says
from tests.data.spec_tables import prepare_frame

ROWS = {"train": 2_000, "validation": 500, "test": 500}
TOTAL = sum(ROWS.values())
FIRST_TEST = TOTAL - ROWS["test"]
FEATURES: dict[str, Any] = {
    "label": {"kind": "label"},
    "x": {"kind": "numeric"},
    "c": {"kind": "categorical"},
    "tags": {"kind": "multi_hot"},
    "time": {"kind": "time", "type": "int64"},
}
WHO: dict[str, Any] = {
    "user": {"kind": "user", "type": "int64"},
    "item": {"kind": "item", "type": "int64"},
}


def clean_table(seed: int = 0) -> pl.DataFrame:
    """Returns a table without leaks, split by time; x tells something of the label."""
    rng = np.random.default_rng(seed)
    label = rng.integers(0, 2, TOTAL)
    return pl.DataFrame(
        {
            "label": label,
            "x": (label + rng.normal(0, 2, TOTAL)).astype(np.float32),
            "c": [f"c{n}" for n in rng.integers(0, 8, TOTAL)],
            "tags": [f"t{a}|t{b}" for a, b in rng.integers(0, 5, (TOTAL, 2))],
            "time": np.arange(TOTAL),
            "user": np.arange(TOTAL) % 50,
            "item": rng.integers(0, 20, TOTAL),
            "split": [name for name, rows in ROWS.items() for _ in range(rows)],
        }
    )


def replaced(frame: pl.DataFrame, column: str, values: Any) -> pl.DataFrame:
    return frame.with_columns(pl.Series(column, values))


def with_rows(frame: pl.DataFrame, targets: list[int], sources: list[int]) -> pl.DataFrame:
    """Returns the frame with copies of some rows in place of others, whose splits stay."""
    order = np.arange(len(frame))
    order[targets] = sources
    return replaced(frame[order], "split", frame["split"])


def found_in(data: PreparedDataset, **options: Any) -> dict[str, str]:
    """Returns what was found, by the finding's name."""
    audit = audit_dataset(data, AuditOptions(**options))
    return {finding.name: finding.found for finding in audit.findings}


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> PreparedDataset:
    """Returns the clean table, prepared."""
    folder = tmp_path_factory.mktemp("clean") / "clean"
    return prepare_frame(clean_table(), FEATURES | WHO, folder)


@pytest.fixture
def spoilt(clean: PreparedDataset, tmp_path: Path) -> Callable[[Any], PreparedDataset]:
    """Returns a function that copies the clean dataset and changes the copy's schema."""

    def spoil(change: Callable[[dict[str, Any]], None]) -> PreparedDataset:
        folder = tmp_path / "spoilt"
        shutil.copytree(clean.folder, folder)
        change_schema(folder, change)
        return PreparedDataset(folder)

    return spoil


def test_a_clean_dataset_passes_every_rule(clean: PreparedDataset) -> None:
    audit = audit_dataset(clean, AuditOptions())
    assert audit.findings == []
    assert all(verdict.checked for verdict in audit.verdicts.values())
    assert audit_text(audit, "clean", "DATA").endswith("no findings")


def test_synthetic_interactions_pass(synthetic_data: PreparedDataset) -> None:
    audit = audit_dataset(synthetic_data, AuditOptions())
    assert audit.findings == []
    assert audit.verdicts["time-order"].looked_at.endswith("order of each user")
    not_checked = {rule for rule, verdict in audit.verdicts.items() if not verdict.checked}
    assert not_checked == {"label-alone", "statistics"}  # ratings, and no numbers


def test_events_before_train(tmp_path: Path) -> None:
    times = np.arange(TOTAL)
    times[FIRST_TEST : FIRST_TEST + 3] = [5, 6, 7]
    data = prepare_frame(replaced(clean_table(), "time", times), FEATURES, tmp_path / "early")
    audit = audit_dataset(data, AuditOptions())
    # Of 2,000 events of train, all but those at 0 to 5 are after the first of test.
    assert [f.found for f in audit.findings] == [
        "3 of 500 events of test (0.6%) are before the last event of train, at 1999; 99.7% of "
        "train is after the first of test",
        "3 of 500 events of test (0.6%) are before the last event of validation, at 2499",
    ]


def test_events_before_those_of_the_same_user(tmp_path: Path) -> None:
    frame = clean_table()
    # User 0's last event of train is at 1,950, user 1's at 1,951.
    times = frame["time"].to_numpy().copy()
    users = frame["user"].to_numpy()
    rows = np.flatnonzero((users < 2) & (np.arange(TOTAL) >= FIRST_TEST))
    times[rows[0]] = 1_949
    times[rows[1]] = 1_960  # after all of the user's events, and before others' of train
    data = prepare_frame(replaced(frame, "time", times), FEATURES | WHO, tmp_path / "user")
    audit = audit_dataset(data, AuditOptions())
    train, validation = audit.findings
    assert train.found == (
        "1 of 500 events of test (0.2%) are before an event of the same user in train"
    )
    assert validation.found.startswith("2 of 500 events of test")  # and before validation, both
    (first, _) = audit_dataset(data, AuditOptions(order="all")).findings
    assert first.found.startswith("2 of 500 events of test (0.4%) are before the last event")


def test_after_a_split_by_time_all_events_are_compared(tmp_path: Path) -> None:
    split = {"method": "time", "column": "time", "validation_from": "2000", "test_from": "2500"}
    features = {**FEATURES, **WHO}
    data = prepare_frame(clean_table(), features, tmp_path / "data", split=split)
    verdict = audit_dataset(data, AuditOptions()).verdicts["time-order"]
    assert verdict.looked_at.endswith("order of all events")
    assert not verdict.findings


def test_order_of_each_user_is_enough_for_leave_last_out(synthetic_data: PreparedDataset) -> None:
    train, test = (synthetic_data.read("rows", split)["time"] for split in ("train", "test"))
    early = int((np.asarray(test) < np.asarray(train).max()).sum())
    notes = audit_dataset(synthetic_data, AuditOptions()).verdicts["time-order"].notes
    of = f"{early} of {len(test)} events of test"
    assert any(note.startswith(of) and "before the last event of train" in note for note in notes)
    found = audit_dataset(synthetic_data, AuditOptions(order="all")).findings
    assert any(finding.found.startswith(of) for finding in found)


def test_whole_rows_in_two_splits(tmp_path: Path) -> None:
    frame = with_rows(clean_table().drop("time"), [FIRST_TEST + 1, FIRST_TEST + 2], [7, 2_100])
    features = {name: feature for name, feature in FEATURES.items() if name != "time"}
    data = prepare_frame(frame, features, tmp_path / "twice")
    audit = audit_dataset(data, AuditOptions())
    in_train, in_validation = audit.findings
    assert in_train.found == (
        "1 of 500 rows of test (0.20%) are in train; 0.00% of test repeat another row of test"
    )
    assert in_validation.name == "same-event:validation-test"
    assert in_validation.where == "validation[100] and test[2]"
    # The place that is named holds that row.
    position = int(in_train.where.partition("train[")[2].partition("]")[0])
    assert in_train.where.startswith(f"train[{position}] and test[1]: label ")
    train, test = data.read("rows", "train"), data.read("rows", "test")
    for name in ("label", "x", "c"):
        assert train[name][position] == test[name][1]  # type: ignore[index]


def test_same_user_item_and_time_is_one_event_whatever_else_differs(tmp_path: Path) -> None:
    frame = clean_table()
    frame = with_rows(frame, [FIRST_TEST], [7])
    x = frame["x"].to_numpy().copy()
    x[FIRST_TEST] += 1
    data = prepare_frame(replaced(frame, "x", x), FEATURES | WHO, tmp_path / "event")
    audit = audit_dataset(data, AuditOptions(ignore=("time-order",)))
    (finding,) = audit.findings
    assert finding.found == "1 of 500 rows of test (0.20%) are in train"
    item = frame["item"][7]
    assert f"test[0]: user '7', item '{item}', time 7 " in finding.where


def test_unknown_users_are_not_taken_for_one(tmp_path: Path) -> None:
    frame = clean_table()
    # Users that train never sees, with the same item at the same time.
    strangers = [FIRST_TEST - 1, FIRST_TEST]
    for column, values in {"user": [900, 901], "item": [3, 3], "time": [2_499, 2_499]}.items():
        changed = frame[column].to_numpy().copy()
        changed[strangers] = values
        frame = replaced(frame, column, changed)
    data = prepare_frame(frame, FEATURES | WHO, tmp_path / "strangers")
    assert found_in(data) == {}


def test_a_sample_of_many_rows_still_finds_what_it_holds(clean: PreparedDataset) -> None:
    rule = SameEvent(clean, most_keys=250)
    train = clean.read("rows", "train")
    rule.see_held_out("test", train)
    rule.see_train(train)
    verdict = rule.verdict()
    assert "1 in 4 by hash" in verdict.looked_at
    (finding,) = verdict.findings
    shared, of = finding.found.split(" rows")[0].split(" of ")
    assert shared == of
    assert 400 < int(of) < 600  # of 2,000


def test_keys_of_rows() -> None:
    rng = np.random.default_rng(0)
    numbers = rng.normal(size=1000).astype(np.float32)
    lists = Ragged(np.array([1, 2, 2, 1, 12], np.int32), np.array([2, 2, 1, 0], np.int32))
    assert len(set(row_keys([numbers]).tolist())) == 1000
    assert len(set(row_keys([lists]).tolist())) == 4
    ones, twos = np.array([1, 2]), np.array([2, 1])
    assert len(set(row_keys([ones, twos]).tolist())) == 2  # the order of columns counts
    zeros = row_keys([np.array([0.0, -0.0], np.float32)])
    assert zeros[0] == zeros[1]
    alone = Ragged(np.array([1, 2], np.int32), np.array([2], np.int32))
    assert row_keys([lists])[0] == row_keys([alone])[0]  # wherever the row is


def leaky(kind: str) -> tuple[pl.DataFrame, dict[str, Any]]:
    frame = clean_table()
    label, rng = frame["label"].to_numpy(), np.random.default_rng(1)
    noise = rng.integers(0, 5, TOTAL)
    if kind == "numeric":
        return replaced(frame, "leak", label * 2 - rng.random(TOTAL)), {"kind": "numeric"}
    if kind == "falling":
        return replaced(frame, "leak", -label * 2 + rng.random(TOTAL)), {"kind": "numeric"}
    if kind == "in_between":  # 7 among 0 to 14: no order of the values predicts
        values = np.where(label == 1, 7, rng.choice([*range(7), *range(8, 15)], TOTAL))
        return replaced(frame, "leak", values.astype(np.float64)), {"kind": "numeric"}
    if kind == "categorical":
        texts = [f"{'sold' if one else 'open'}{n}" for one, n in zip(label, noise, strict=True)]
        return replaced(frame, "leak", texts), {"kind": "categorical"}
    texts = [f"n{n}|m{n}" + "|paid" * one for one, n in zip(label, noise, strict=True)]
    return replaced(frame, "leak", texts), {"kind": "multi_hot"}


@pytest.mark.parametrize(
    ("kind", "how"),
    [
        ("numeric", "its value"),
        ("falling", "its value"),
        ("in_between", "the mean label of its value in train"),
        ("categorical", "the mean label of its value in train"),
        ("multi_hot", "the mean label of its value in train"),
    ],
)
def test_a_feature_that_gives_the_label_away(kind: str, how: str, tmp_path: Path) -> None:
    frame, leak = leaky(kind)
    data = prepare_frame(frame, FEATURES | {"leak": leak}, tmp_path / kind)
    found = found_in(data)
    assert list(found) == ["label-alone:leak"]
    assert says_all(found["label-alone:leak"], "AUC 1.0000 on 1,000 held-out rows by")
    if kind != "numeric":
        assert how in found["label-alone:leak"]


def says_all(text: str, *parts: str) -> bool:
    return all(part in text for part in parts)


def test_the_threshold_and_the_area_are_those_of_the_held_out_rows(tmp_path: Path) -> None:
    frame = clean_table()
    held_out = frame[ROWS["train"] :]
    ones, zeros = (held_out.filter(pl.col("label") == n)["x"].to_numpy() for n in (1, 0))
    area = (ones[:, None] > zeros[None, :]).mean()
    data = prepare_frame(frame, FEATURES, tmp_path / "x")
    assert 0.6 < area < 0.7
    (found,) = found_in(data, threshold=area - 1e-3).values()
    assert f"'x' alone predicts the label: AUC {area:.3f}" in found
    assert found_in(data, threshold=area + 1e-3) == {}


def moments(frame: pl.DataFrame, *splits: str) -> dict[str, float]:
    x = frame.filter(pl.col("split").is_in(splits))["x"].to_numpy().astype(np.float64)
    return {"mean": x.mean(), "stddev": x.std(), "minimum": x.min(), "maximum": x.max()}


@pytest.mark.parametrize(
    ("splits", "says_so"),
    [
        (("train", "test"), "train + test have just these"),
        (("train", "validation", "test"), "train + validation + test have just these"),
        (("test",), "test has just these"),
    ],
)
def test_statistics_fitted_on_test(
    splits: tuple[str, ...], says_so: str, spoilt: Callable[[Any], PreparedDataset]
) -> None:
    stated = moments(clean_table(), *splits)

    def change(schema: dict[str, Any]) -> None:
        (x,) = (f for f in schema["features"] if f["name"] == "x")
        x["statistics"] |= stated

    found = found_in(spoilt(change))
    assert list(found) == ["statistics:x"]
    assert found["statistics:x"].endswith(says_so)
    train = moments(clean_table(), "train")
    assert f"mean {stated['mean']:.9g} (train: {train['mean']:.9g})" in found["statistics:x"]


def test_statistics_of_no_split(spoilt: Callable[[Any], PreparedDataset]) -> None:
    def change(schema: dict[str, Any]) -> None:
        (x,) = (f for f in schema["features"] if f["name"] == "x")
        x["statistics"]["maximum"] = 1e3

    data = spoilt(change)
    (found,) = found_in(data).values()
    assert "schema.json says maximum 1000 (train: " in found
    assert found.endswith("no mix of the splits has these")
    change_schema(data.folder, lambda schema: schema["provenance"]["options"].update(append="DAY"))
    audit = audit_dataset(PreparedDataset(data.folder), AuditOptions())
    assert audit.findings == []
    assert audit.verdicts["statistics"].notes == [
        "'x' has other statistics than train: they were fitted before rows were added (--append)"
    ]


def test_normalise_fitted_on_test(tmp_path: Path) -> None:
    features = FEATURES | {"x": {"kind": "numeric", "transforms": ["log1p", "normalise"]}}
    data = prepare_frame(clean_table(), features, tmp_path / "normalised")
    assert found_in(data) == {}
    everything = np.log1p(np.maximum(clean_table()["x"].to_numpy().astype(np.float64), 0))

    def change(schema: dict[str, Any]) -> None:
        (x,) = (f for f in schema["features"] if f["name"] == "x")
        x["transforms"][1]["values"] = [everything.mean(), everything.std()]
        x["statistics"] |= moments(clean_table(), *ROWS)

    change_schema(data.folder, change)
    (found,) = found_in(PreparedDataset(data.folder)).values()
    assert f"normalise by mean {everything.mean():.9g}" in found
    assert found.endswith("train + validation + test have just these")


def test_a_vocabulary_with_ids_of_test(tmp_path: Path) -> None:
    frame = clean_table()
    values = frame["c"].to_list()
    values[3], values[4] = "only here", "and here"
    data = prepare_frame(replaced(frame, "c", values), FEATURES, tmp_path / "swapped")

    def swap(schema: dict[str, Any]) -> None:
        splits = schema["views"]["rows"]["splits"]
        splits["train"], splits["test"] = splits["test"], splits["train"]

    change_schema(data.folder, swap)
    audit = audit_dataset(PreparedDataset(data.folder), AuditOptions(ignore=("time-order",)))
    found = {finding.name: finding for finding in audit.findings}
    assert set(found) == {"vocabulary:c", "statistics:x"}
    assert found["vocabulary:c"].found == (
        "2 of 10 entries are in no row of train, 2 of them in held-out rows; the first is "
        "'and here'"
    )
    assert found["vocabulary:c"].where == "vocab/c.txt, line 9, of column c"
    assert found["statistics:x"].found.endswith("test has just these")


def test_items_first_seen_after_train(tmp_path: Path) -> None:
    items = clean_table()["item"].to_numpy().copy()
    items[FIRST_TEST : FIRST_TEST + 25] = 99
    data = prepare_frame(replaced(clean_table(), "item", items), FEATURES | WHO, tmp_path / "new")
    audit = audit_dataset(data, AuditOptions())
    assert audit.findings == []
    assert audit.verdicts["new-items"].notes == [
        "25 of 500 events of test (5.00%) have an item first seen after train, or too rare there "
        "for an id"
    ]
    assert found_in(data, most_new_items=0.05) == {}
    (found,) = found_in(data, most_new_items=0.04).values()
    assert found.endswith("too rare there for an id; at most 4.00% was asked for")


def text_of(audit: Audit) -> str:
    return audit_text(audit, "leak", "DATA")


def test_accepted_findings(tmp_path: Path) -> None:
    frame, leak = leaky("categorical")
    features = FEATURES | {"leak": leak, "also": leak}
    frame = frame.with_columns(also="leak")
    data = prepare_frame(frame, features, tmp_path / "accepted")
    one = audit_dataset(data, AuditOptions(ignore=("label-alone:leak", "vocabulary")))
    assert [finding.name for finding in one.findings] == ["label-alone:also"]
    assert says_all(text_of(one), "1 found", "ignored: label-alone:leak", "\n1 finding")
    assert "note: --ignore=vocabulary has nothing to ignore" in text_of(one)
    both = audit_dataset(data, AuditOptions(ignore=("label-alone",)))
    assert both.findings == []
    assert says_all(text_of(both), "label-alone  ignored", "no findings")
    with pytest.raises(InputError, match=says("must name a rule", "'label_alone'", "label-alone")):
        audit_dataset(data, AuditOptions(ignore=("label_alone",)))


@pytest.fixture(scope="module")
def outcomes(
    clean: PreparedDataset, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Outcome]:
    """Returns what each command left, by a name for the command."""
    folder = tmp_path_factory.mktemp("audits")
    frame, leak = leaky("numeric")
    prepare_frame(frame, FEATURES | {"leak": leak}, folder / "leaky")
    shutil.copytree(folder / "leaky", folder / "untrained")
    change_schema(folder / "untrained", lambda s: s["views"]["rows"]["splits"].pop("train"))
    commands = {
        "clean": [str(clean.folder)],
        "leaky": [f"{folder}/leaky"],
        "accepted": [f"{folder}/leaky", "--ignore=label-alone:leak,new-items"],
        "threshold": ["--auc_threshold=0.6", str(clean.folder)],
        "no_data": [],
        "two": [str(clean.folder), f"{folder}/leaky"],
        "absent": [f"{folder}/absent"],
        "untrained": [f"{folder}/untrained"],
        "rule": [str(clean.folder), "--ignore=leaks"],
        "flag": [str(clean.folder), "--treshold=3"],
        "value": [str(clean.folder), "--auc_threshold=2"],
    }
    return run_commands("data.audit", commands)


def test_exit_codes(outcomes: dict[str, Outcome]) -> None:
    assert {name: outcome.code for name, outcome in outcomes.items()} == {
        "clean": 0,
        "leaky": 1,
        "accepted": 0,
        "threshold": 1,
        **dict.fromkeys(("no_data", "two", "absent", "untrained", "rule", "flag", "value"), 2),
    }


def test_a_finding_is_printed_with_rule_place_and_advice(outcomes: dict[str, Outcome]) -> None:
    lines = outcomes["leaky"].out.splitlines()
    start = lines.index("FINDING label-alone:leak")
    assert lines[start + 1].startswith("  found  'leak' alone predicts the label: AUC 1.0000 on ")
    assert lines[start + 2] == "  where  view 'rows', column 'leak'"
    assert lines[start + 3].startswith("  do     Find out when its value becomes known")
    table = {line.split()[0]: line.split()[1] for line in lines[2:9]}
    assert table == {"rule": "result", "label-alone": "1"} | dict.fromkeys(
        ("time-order", "same-event", "statistics", "vocabulary"), "ok"
    ) | {"new-items": "-"}


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("no_data", "One prepared dataset must be named"),
        ("two", "One prepared dataset must be named"),
        ("absent", "A prepared dataset must hold a schema.json"),
        ("untrained", "The view 'rows' must have the split that is asked for. Received: 'train'"),
        ("rule", "--ignore must name a rule"),
        ("flag", "Unknown command line flag 'treshold'"),
        ("value", "auc_threshold"),
    ],
)
def test_bad_input_is_explained(name: str, message: str, outcomes: dict[str, Outcome]) -> None:
    assert outcomes[name].err.startswith("error: ")
    assert message in outcomes[name].err
    assert outcomes[name].out == ""


def test_ids_outside_the_vocabulary_are_bad_input(
    spoilt: Callable[[Any], PreparedDataset],
) -> None:
    data = spoilt(lambda _: None)
    vocabulary = data.folder / "vocab" / "c.txt"
    lines = vocabulary.read_text().splitlines(keepends=True)
    vocabulary.write_text("".join(lines[:-1]))

    def change(schema: dict[str, Any]) -> None:
        (c,) = (f for f in schema["features"] if f["name"] == "c")
        c["cardinality"] -= 1

    change_schema(data.folder, change)
    rule = "The ids of 'c' must be at least 0 and below its cardinality 9. Received: 2 to 9."
    with pytest.raises(InputError, match=says(rule, "view 'rows', split validation")):
        audit_dataset(PreparedDataset(data.folder), AuditOptions())
