"""Lists of an export, asked for at once in a server that puts requests together."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import requests
from conftest import ExportOf, running

from serving.server.model_manager import ModelManager
from serving.server.rest import RestOptions
from serving.server.running import ServerOptions
from serving.server.settings import BatchingParameters, ModelConfig


def test_no_list_is_as_long_as_a_strangers(quick_export: ExportOf) -> None:
    exported = quick_export("mf")
    users = exported.run.data.raw_ids("user")[:24].tolist()
    widths = [(3, 200, 17)[n % 3] for n in range(len(users))]
    options = ServerOptions(
        batching=BatchingParameters(batch_timeout_micros=300_000),
        rest=RestOptions(metrics_path="/m"),
    )
    manager = ModelManager({"mf": ModelConfig(exported.path.parent)})
    with running(manager, options) as addresses, ThreadPoolExecutor(len(users)) as pool:

        def ask(user: int, k: int) -> dict[str, Any]:
            url = f"http://{addresses.rest}/v1/models/mf:predict"
            body = {"instances": [{"user": user, "k": k}]}
            return requests.post(url, json=body, timeout=20).json()["predictions"][0]

        together = list(pool.map(ask, users, widths))
        metrics = requests.get(f"http://{addresses.rest}/m", timeout=20).text
        alone = [ask(user, k) for user, k in zip(users[:3], widths, strict=False)]
    assert [len(answer["items"]) for answer in together] == widths
    assert [answer["items"] for answer in together[:3]] == [answer["items"] for answer in alone]
    count = re.search(r'processed_batch_size_count{model_name="mf"} (\d+)', metrics)
    assert count is not None
    assert int(count[1]) < len(users) // 2  # requests for lists of one length did share runs
