"""The comparison of finished runs: joined over seeds, sorted, refused where it would mislead."""

from __future__ import annotations

import csv
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from data.dataset import PreparedDataset
from data.errors import InputError
from tests.trainers.written_runs import CARD, Values, write_results_on, write_run
from trainers import leaderboard

REPOSITORY = Path(__file__).parents[2]


def table(*folders: Path, metrics: str = "", data_dir: Path | None = None) -> list[list[str]]:
    """Returns the printed lines, cut where columns end."""
    wanted = metrics.split(",") if metrics else []
    text = leaderboard.leaderboard(folders, wanted, data_dir=data_dir)
    return [[cell.strip() for cell in line.split("  ") if cell] for line in text.splitlines()]


def full(ndcg: float | None) -> Values:
    return {"hr@10/full": 0.5, "ndcg@10/full": ndcg, "recall@10/full": 0.4}


def test_seeds_are_one_line_with_mean_and_range(tmp_path: Path) -> None:
    runs = [
        write_run(tmp_path / str(seed), full(value), seed=seed)
        for seed, value in ((1, 0.2), (2, 0.26), (3, 0.23))
    ]
    head, line, baseline, decides = table(*runs)
    assert head == [
        "run",
        "model/recipe",
        "ndcg@10/full",
        "hr@10/full",
        "parameters",
        "train s",
        "examples/s",
        "seeds",
    ]
    values = ["0.2300 (0.2000-0.2600)", "0.5000", "12,345", "20.0", "5,000", "3"]
    assert line == ["1 and 2 more", "ncf/default epochs=3", *values]
    assert baseline == ["(popularity)", "0.1000", "0.1000", "-", "-", "-", "-"]
    assert decides == ["The best by ndcg@10/full first"]


def test_a_run_given_twice_counts_once(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", full(0.2))
    assert table(run, run, tmp_path / "." / "run") == table(run)
    assert table(run)[1][-1] == "1"


def test_other_settings_are_other_lines_that_say_what_differs(tmp_path: Path) -> None:
    small = write_run(tmp_path / "a", full(0.2), settings={"gmf_dim": 8})
    large = write_run(tmp_path / "b", full(0.3), settings={"gmf_dim": 64})
    other = write_run(tmp_path / "c", full(0.1), model="ease", settings={"gmf_dim": 1})
    lines = [line[:2] for line in table(small, large, other)[1:4]]
    assert lines == [
        ["b", "ncf/default epochs=3"],
        ["a", "ncf/default gmf_dim=8 epochs=3"],
        ["c", "ease/default epochs=3"],
    ]


def test_a_run_alone_says_what_is_not_its_recipes(tmp_path: Path) -> None:
    sasrec = {"variant": "sasrec", "dim": 64, "dropout": 0.25, "layers": 3, "heads": 4}
    run = write_run(tmp_path / "sasrec", full(0.2), seed=7, model="bert4rec", settings=sasrec)
    config = json.loads((run / "config.json").read_text())
    config["trainer"]["checkpoint_minutes"] = 1.5  # which its quality does not depend on
    (run / "config.json").write_text(json.dumps(config))
    settings = "bert4rec/default variant=sasrec dropout=0.25 layers=3 heads=4 and 1 more"
    assert table(run)[1][:2] == ["sasrec", settings]


def test_runs_of_one_name_show_as_much_of_their_paths_as_tells_them_apart(tmp_path: Path) -> None:
    runs = [
        write_run(tmp_path / folder, full(value), recipe=folder.replace("/", ""))
        for folder, value in (("a/x/ease", 0.3), ("b/x/ease", 0.2), ("b/x/ncf", 0.1))
    ]
    assert [line[0] for line in table(*runs)[1:4]] == ["a/x/ease", "b/x/ease", "ncf"]


@pytest.mark.parametrize(
    ("metric", "values", "order"),
    [
        ("auc", (0.7, 0.9, 0.8), "bca"),
        ("logloss", (0.7, 0.9, 0.8), "acb"),
        ("normalised_entropy", (0.7, 0.9, 0.8), "acb"),
        ("calibration", (0.7, 1.01, 1.2), "bca"),
        ("auc", (None, 0.9, 0.8), "bca"),
    ],
)
def test_the_first_metric_sorts_the_best_first(
    tmp_path: Path, metric: str, values: tuple[float | None, ...], order: str
) -> None:
    cards = {"click": {"rows": 9}}
    runs = [
        write_run(tmp_path / recipe, {"accuracy": 0.5, metric: value}, recipe=recipe, cards=cards)
        for recipe, value in zip("abc", values, strict=True)
    ]
    lines = table(*runs, metrics=f"{metric},accuracy")
    assert [line[0] for line in lines[1:4]] == list(order)
    assert ["The best by " + metric + " first"] in lines


def test_equal_runs_go_by_the_next_metric(tmp_path: Path) -> None:
    runs = [
        write_run(tmp_path / r, full(v), recipe=r) for r, v in zip("ab", (0.2, 0.3), strict=True)
    ]
    lines = table(*runs, metrics="hr@10/full,ndcg@10/full")
    assert [line[0] for line in lines[1:3]] == ["b", "a"]


@pytest.mark.parametrize(
    ("protocol", "usual"),
    [
        ("sampled99", ["ndcg@10/sampled99", "hr@10/sampled99"]),
        ("full", ["ndcg@10/full", "hr@10/full"]),
        ("popular100", ["ndcg@10/popular100", "hr@10/popular100"]),
        ("foldin", ["ndcg@100/foldin", "recall@20/foldin"]),
        ("click", ["auc", "logloss", "normalised_entropy", "calibration", "accuracy"]),
    ],
)
def test_each_protocol_shows_its_usual_metrics(
    tmp_path: Path, protocol: str, usual: list[str]
) -> None:
    metrics: Values = {"mrr@5/" + protocol: 0.3, **dict.fromkeys(reversed(usual), 0.2)}
    run = write_run(tmp_path / "run", metrics, cards={protocol: CARD})
    assert table(run)[0][2:-4] == usual


def test_all_items_decide_before_a_sample_of_them(tmp_path: Path) -> None:
    """An order by HR among 99 negatives may be another than by NDCG among all items."""
    both = {"sampled99": CARD, "full": CARD}
    runs = []
    for name, sampled, ndcg in (("a", 0.9, 0.3), ("b", 0.8, 0.4)):
        metrics: Values = {"hr@10/sampled99": sampled, "ndcg@10/sampled99": sampled}
        runs.append(write_run(tmp_path / name, {**metrics, **full(ndcg)}, recipe=name, cards=both))
    lines = table(*runs)
    usual = ["ndcg@10/full", "hr@10/full", "ndcg@10/sampled99", "hr@10/sampled99"]
    assert lines[0][2:-4] == usual
    assert [line[0] for line in lines[1:3]] == ["b", "a"]
    assert ["The best by ndcg@10/full first"] in lines


def test_the_best_reachable_is_shown_where_it_is_known(tmp_path: Path) -> None:
    known = write_run(tmp_path / "run", full(0.2), best={"ndcg@10/full": 0.75})
    assert table(known)[-2] == ["(best reachable)", "0.7500", "-", "-", "-", "-", "-"]
    assert table(known, metrics="hr@10/full")[-2][0] == "(popularity)"


def test_baselines_of_other_training_splits_are_other_lines(tmp_path: Path) -> None:
    one = write_run(tmp_path / "a", full(0.2))
    two = write_run(tmp_path / "b", full(0.3), fit_on=("train", "validation"))
    names = [line[0] for line in table(one, two)[-3:-1]]
    assert names == ["(popularity on train)", "(popularity on train+validation)"]


def test_a_model_without_steps_has_no_speed(tmp_path: Path) -> None:
    timings: Values = {"train_seconds": 2.0, "examples_per_second": 0.0}
    run = write_run(tmp_path / "run", full(0.2), model="ease", timings=timings)
    assert table(run)[1][-4:] == ["12,345", "2.0", "-", "1"]


def test_a_metric_that_a_seed_lacks_is_not_averaged_over_the_others(tmp_path: Path) -> None:
    one = write_run(tmp_path / "a", full(0.2), seed=1)
    two = write_run(tmp_path / "b", full(None), seed=2)
    assert table(one, two)[1][2:4] == ["-", "0.5000"]


def test_unfinished_runs_are_named(tmp_path: Path) -> None:
    done, cut = write_run(tmp_path / "a", full(0.2)), write_run(tmp_path / "b", None)
    assert table(done, cut)[-1] == [f"Not finished, left out: {cut}"]
    with pytest.raises(InputError, match=rf"one finished run .* Received: {cut}\."):
        table(cut)
    with pytest.raises(InputError, match=r"one finished run .* Received: none"):
        table()


@pytest.mark.parametrize(
    ("field", "value"), [("dataset", "books"), ("candidates_sha256", "bb"), ("ties", "first")]
)
def test_different_protocol_cards_are_refused(tmp_path: Path, field: str, value: str) -> None:
    one = write_run(tmp_path / "a", full(0.2))
    other = write_run(tmp_path / "b", full(0.2), cards={"full": {**CARD, field: value}})
    with pytest.raises(InputError) as error:
        table(one, other)
    values = f"Received: {CARD.get(field)!r} in {one} and {value!r} in {other}."
    assert values in str(error.value)
    assert f"At: protocol.full.{field} " in str(error.value)


def test_runs_of_two_datasets_are_compared_on_one(
    synthetic_data: PreparedDataset, tmp_path: Path
) -> None:
    sha256, today = synthetic_data.schema_sha256, synthetic_data.folder
    yesterday = write_run(tmp_path / "old", full(0.9), recipe="old")
    cards = {"full": {**CARD, "candidates_sha256": "bb"}}
    new = write_run(tmp_path / "new", full(0.3), recipe="new", cards=cards, trained_on=sha256)
    with pytest.raises(InputError, match=r"trained on two datasets.*--mode=evaluate .*--data_dir="):
        table(yesterday, new)
    command = f"python -m trainers.run --mode=evaluate --data_dir={today} --model_dir={yesterday}"
    with pytest.raises(InputError, match=re.escape(command)):
        table(yesterday, new, data_dir=today)
    write_results_on(yesterday, full(0.2), sha256, protocol=cards, trained_targets=7)
    lines = table(yesterday, new, data_dir=today)
    ndcg = lines[0].index("ndcg@10/full")
    assert [line[ndcg] for line in lines[1:3]] == ["0.3000", "0.2000"]
    assert lines[2][-3:] == ["10.0", "5,000", "1"]  # of its training, which was elsewhere
    assert lines[-1][0].startswith(f"{yesterday} was trained on 7 of the pairs")
    unfinished = write_run(tmp_path / "cut", None)
    assert [f"Not finished, left out: {unfinished}"] in table(new, unfinished, data_dir=today)


def test_several_runs_that_lack_results_get_one_command(
    synthetic_data: PreparedDataset, tmp_path: Path
) -> None:
    runs = [write_run(tmp_path / name, full(0.9)) for name in ("a", "b")]
    with pytest.raises(InputError) as error:
        table(*runs, data_dir=synthetic_data.folder)
    command = f"python -m trainers.run --mode=evaluate --data_dir={synthetic_data.folder}"
    loop = f'for run in {runs[0]} {runs[1]}; do {command} --model_dir="$run"; done'
    assert loop in str(error.value)
    assert str(error.value).count("trainers.run") == 1


def test_results_on_a_dataset_whose_hash_begins_alike_are_not_taken(
    synthetic_data: PreparedDataset, tmp_path: Path
) -> None:
    run, sha256 = write_run(tmp_path / "run", full(0.9)), synthetic_data.schema_sha256
    write_results_on(run, full(0.2), sha256)
    assert table(run, data_dir=synthetic_data.folder)[1][2:4] == ["0.2000", "0.5000"]
    path = run / f"metrics-on-{sha256[:8]}.json"
    path.write_text(path.read_text().replace(sha256, sha256[:8] + "0" * 56))
    with pytest.raises(InputError, match="must have been evaluated on the dataset of --data_dir"):
        table(run, data_dir=synthetic_data.folder)


def test_runs_of_different_tasks_are_refused(tmp_path: Path) -> None:
    ranking = write_run(tmp_path / "a", full(0.2))
    click = write_run(tmp_path / "b", {"auc": 0.8}, cards={"click": {"rows": 9}})
    with pytest.raises(InputError, match=r"\['full'\] in .*a and \['click'\] in .*b"):
        table(ranking, click)


def test_a_protocol_that_one_run_lacks_leaves_its_cells_empty(tmp_path: Path) -> None:
    both = {"sampled99": CARD, "full": CARD}
    one = write_run(tmp_path / "a", {**full(0.2), "hr@10/sampled99": 0.6}, recipe="a", cards=both)
    two = write_run(tmp_path / "b", full(0.3), recipe="b")
    head, first, second = table(one, two)[:3]
    assert head[2:5] == ["ndcg@10/full", "hr@10/full", "hr@10/sampled99"]
    assert [first[0], *first[2:5]] == ["b", "0.3000", "0.5000", "-"]
    assert [second[0], *second[2:5]] == ["a", "0.2000", "0.5000", "0.6000"]


def test_a_metric_that_every_run_has_decides(tmp_path: Path) -> None:
    cards = {"sampled99": CARD}
    both, values = {**cards, "full": CARD}, {**full(0.2), "ndcg@10/sampled99": 0.6}
    one = write_run(tmp_path / "a", values, cards=both)
    two = write_run(tmp_path / "b", {"ndcg@10/sampled99": 0.7}, cards=cards, recipe="b")
    lines = table(one, two)
    assert lines[0][2:5] == ["ndcg@10/sampled99", "ndcg@10/full", "hr@10/full"]
    assert [line[0] for line in lines[1:3]] == ["b", "a"]


def test_an_unknown_metric_is_refused_with_the_nearest(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", full(0.2))
    with pytest.raises(InputError, match=r"Received: 'ndgc@10/full'.*'ndcg@10/full'"):
        table(run, metrics="ndgc@10/full")
    with pytest.raises(InputError, match="--metrics"):
        table(write_run(tmp_path / "odd", {"mrr@3/full": 0.1}))


def test_a_folder_of_runs_is_no_run(tmp_path: Path) -> None:
    for name in ("b", "a"):
        write_run(tmp_path / name, full(0.2))
    with pytest.raises(InputError) as error:
        table(tmp_path)
    assert f"Give a run in it, such as {tmp_path / 'a'}, or all: {tmp_path}/*." in str(error.value)
    assert "--model_dir" not in str(error.value)  # nothing is to be trained over them
    with pytest.raises(InputError, match=rf"Train one: .* --model_dir={tmp_path / 'none'}"):
        table(tmp_path / "none")


def test_a_folder_of_raw_files_is_a_source_and_nothing_to_write_over(tmp_path: Path) -> None:
    run, source = write_run(tmp_path / "run", full(0.2)), tmp_path / "src"
    source.mkdir()
    (source / "orders.csv").write_text("user,item\n1,2\n")
    with pytest.raises(InputError) as error:
        table(run, data_dir=source)
    assert f"python -m data.prepare --dataset=... --source={source} --out=DATA" in str(error.value)
    with pytest.raises(InputError, match=rf"data\.prepare --dataset=\.\.\. --out={source}x$"):
        table(run, data_dir=tmp_path / "srcx")


def test_results_of_another_version_are_refused(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", full(0.2))
    (run / "metrics.json").write_text(json.dumps({"metrics": {}, "popularity": {}}))
    with pytest.raises(InputError, match=r"no baseline, .*--mode=evaluate --model_dir="):
        table(run)


def test_markdown_and_csv_hold_the_table(tmp_path: Path) -> None:
    runs = [
        write_run(tmp_path / str(seed), full(value), seed=seed)
        for seed, value in ((1, 0.2), (2, 0.3))
    ]
    markdown, comma = tmp_path / "t.md", tmp_path / "t.csv"
    leaderboard.leaderboard(runs, ["ndcg@10/full"], str(markdown), str(comma))
    lines = table(*runs, metrics="ndcg@10/full")
    shown = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in markdown.read_text().splitlines()
    ]
    assert [list(filter(None, row)) for row in (shown[0], *shown[2:])] == lines[:-1]
    assert set(shown[1]) == {"---", "---:"}
    first, second = csv.DictReader(comma.read_text().splitlines())
    assert (first["run"], first["model"]) == ("1 and 1 more", "ncf/default epochs=3")
    assert float(first["ndcg@10/full"]) == pytest.approx(0.25)
    assert (first["ndcg@10/full min"], first["ndcg@10/full max"]) == ("0.2", "0.3")
    assert (first["parameters"], first["seeds"]) == ("12345", "2")
    assert (second["run"], second["parameters"]) == ("(popularity)", "")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1", "2", "t.csv", "t.md"]


def test_the_command_prints_and_refuses(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", full(0.2))
    flags = f"--markdown={tmp_path / 't.md'}"
    command = [
        *(sys.executable, "-m", "trainers.leaderboard", flags),
        *(str(run), str(tmp_path / "none")),
    ]
    refused = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert refused.returncode == 2
    assert refused.stderr.splitlines()[-1].startswith("error: A run folder must hold a config.json")
    done = subprocess.run(command[:-1], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[1].split() == [
        "run",
        "ncf/default",
        "epochs=3",
        "0.2000",
        "0.5000",
        "12,345",
        "10.0",
        "5,000",
        "1",
    ]
