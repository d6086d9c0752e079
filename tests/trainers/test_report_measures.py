"""Intervals, tests, exposure and calibration against known answers and other libraries."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score

from trainers.click_details import ClickDetails, calibration_table
from trainers.click_metrics import NAMES, click_metrics
from trainers.report_page.catalogue import exposure, history_groups, popularity_buckets
from trainers.report_page.clicks import expected_error
from trainers.report_page.statistics import holm, mean_interval, paired_test, share_interval


def test_the_interval_is_that_of_a_bootstrap_over_users() -> None:
    values = np.random.default_rng(0).gamma(0.3, size=3_000)
    found = mean_interval(values)
    expected = stats.bootstrap(
        (values,), np.mean, n_resamples=4_000, method="percentile", rng=np.random.default_rng(1)
    ).confidence_interval
    assert found.mean == values.mean()
    assert found.low == pytest.approx(expected.low, abs=0.05 * (expected.high - expected.low))
    assert found.high == pytest.approx(expected.high, abs=0.05 * (expected.high - expected.low))


def test_the_interval_of_few_users_is_students() -> None:
    values = np.array([0.2, 0.5, 0.9])
    found = mean_interval(values)
    low, high = stats.t.interval(0.95, 2, values.mean(), stats.sem(values))
    assert (found.low, found.high) == (pytest.approx(low), pytest.approx(high))
    alone = mean_interval(values[:1])
    assert alone.mean == 0.2
    assert math.isnan(alone.low)


def test_the_paired_test_is_scipys() -> None:
    rng = np.random.default_rng(2)
    values = rng.random(200)
    others = values + rng.normal(0.01, 0.1, 200)
    found, expected = paired_test(values, others), stats.ttest_rel(values, others)
    assert found.p == pytest.approx(expected.pvalue, rel=1e-9)
    assert found.difference.mean == pytest.approx(float(np.mean(values - others)))
    interval = expected.confidence_interval()
    assert (found.difference.low, found.difference.high) == pytest.approx(interval)
    assert paired_test(values, values).p == 1.0
    assert paired_test(values, values + 0.5).p == pytest.approx(0.0, abs=1e-12)


def test_holms_correction_of_a_worked_example() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([0.04]) == [0.04]


def test_a_share_of_no_hits_has_room_above() -> None:
    found = share_interval(0, 20)
    assert found.mean == found.low == 0.0
    assert found.high == pytest.approx(0.1611, abs=1e-4)  # Wilson: z² / (n + z²)


def test_exposure_of_known_lists() -> None:
    events = np.array([8, 4, 2, 2])
    found = exposure(np.array([4, 4, 0, 0]), events)
    assert found.coverage == 0.5
    assert found.gini == 0.5
    assert found.popularity == 6.0
    assert found.novelty == pytest.approx(1.5)  # half at -log2(1/2), half at -log2(1/4)
    assert exposure(np.full(4, 3), events).gini == 0.0
    one_item = exposure(np.array([0, 0, 0, 9]), events)
    assert one_item.gini == pytest.approx(0.75)  # (N - 1) / N
    assert one_item.novelty == 3.0
    assert one_item.shares.tolist() == [0, 0, 0, 0, 1]


def test_gini_is_half_the_mean_difference() -> None:
    counts = np.random.default_rng(3).poisson(2, 60)
    differences = np.abs(counts[:, None] - counts[None]).mean()
    found = exposure(counts, np.ones(60)).gini
    assert found == pytest.approx(differences / 2 / counts.mean())


def test_buckets_of_popularity_have_about_equal_shares() -> None:
    events = np.random.default_rng(4).zipf(1.8, 2_000).clip(max=400)
    buckets = popularity_buckets(events)
    shares = np.bincount(buckets, weights=events) / events.sum()
    assert shares == pytest.approx([0.2] * 5, abs=0.02)
    tops = [events[buckets == bucket].max() for bucket in range(5)]
    assert tops == sorted(tops, reverse=True)


def test_users_of_equal_history_stay_together() -> None:
    history = np.array([3] * 50 + [1, 2, 7, 9] + [1_500] * 3)
    groups, names = history_groups(history)
    assert names == ["1\N{EN DASH}3", "7\N{EN DASH}1,500"]
    assert np.bincount(groups).tolist() == [52, 5]
    assert history_groups(np.full(9, 4))[1] == ["4"]


def clicks(rows: int) -> ClickDetails:
    rng = np.random.default_rng(5)
    logits = rng.normal(-1, 1.2, rows).round(1).astype(np.float32)  # with ties
    labels = rng.random(rows) < 1 / (1 + np.exp(-1.3 * logits))
    return ClickDetails(labels.astype(np.float32), logits)


def test_values_of_rows_have_the_metrics_as_means() -> None:
    details = clicks(400)
    values = details.row_values()
    metrics = click_metrics(details.labels, details.logits)
    assert set(values) == set(NAMES)
    for name in NAMES:
        assert values[name].mean() == pytest.approx(metrics[name], rel=1e-12)
    assert metrics["auc"] == pytest.approx(roc_auc_score(details.labels, details.logits))
    one_class = ClickDetails(np.ones(3, np.float32), details.logits[:3])
    assert set(one_class.row_values()) == {"logloss", "accuracy"}


@pytest.mark.parametrize("name", NAMES)
def test_intervals_of_click_metrics_are_those_of_a_bootstrap_over_rows(name: str) -> None:
    details, rng = clicks(1_500), np.random.default_rng(6)
    drawn = []
    for _ in range(600):
        some = rng.integers(0, 1_500, 1_500)
        drawn.append(click_metrics(details.labels[some], details.logits[some])[name])
    found = mean_interval(details.row_values()[name])
    assert (found.high - found.low) / 2 / 1.96 == pytest.approx(np.std(drawn), rel=0.1)


def test_calibration_bins_hold_each_row_once() -> None:
    details = clicks(1_000)
    table = calibration_table(details, bins=10)
    probability = 1 / (1 + np.exp(-details.logits.astype(float)))
    assert 5 <= len(table["rows"]) <= 10
    for place, rows in enumerate(table["rows"]):
        low, high = table["lowest"][place], table["highest"][place]
        mine = (probability >= low - 1e-12) & (probability <= high + 1e-12)
        assert rows == mine.sum()
        assert table["clicks"][place] == details.labels[mine].sum()
        assert table["predicted"][place] == pytest.approx(probability[mine].sum())
    assert (table["highest"][:-1] < table["lowest"][1:]).all()
    assert table["rows"].sum() == 1_000
    even = calibration_table(ClickDetails(np.zeros(8), np.arange(8.0)), bins=4)
    assert even["rows"].tolist() == [2, 2, 2, 2]
    constant = calibration_table(ClickDetails(np.array([0.0, 1.0]), np.zeros(2)))
    assert constant["rows"].tolist() == [2]
    assert expected_error(constant) == 0.0
