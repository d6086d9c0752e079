"""Lists of recommendations for many users, in Parquet files that appear one by one and whole."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import tensorflow as tf

from data.atomic import fsync_path, write_json
from data.engine.progress import Progress
from data.errors import InputError
from data.file_hash import file_sha256
from data.row_stream import Report
from serving.server.servable import GRAPH_FILE, GraphThreads, Servable
from serving.server.signature import Signature, checked_inputs
from serving.users_file import read_users
from serving.versions import find_version

PLAN_FILE, MANIFEST_FILE = "plan.json", "manifest.json"
_SIGNATURE = "recommend_user"
_WEIGHTS_INDEX = Path("variables", "variables.index")


@dataclass(frozen=True)
class Plan:
    """What a folder of lists is made of; an interrupted run goes on only with the same.

    Attributes:
        export: The version's folder.
        graph_sha256: Hash of its graph.
        weights_sha256: Hash of the index of its weights, which holds their checksums.
        users: The file of users.
        users_sha256: Hash of its content.
        user_column: Its column of raw ids.
        k: Items for each user.
        rows_per_file: Users of a file.
    """

    export: str
    graph_sha256: str
    weights_sha256: str
    users: str
    users_sha256: str
    user_column: str
    k: int
    rows_per_file: int


def plan(
    export_dir: Path, version: int | None, users: Path, column: str, k: int, rows_per_file: int
) -> Plan:
    """Returns the plan of a run; see `Plan` for the arguments.

    Raises:
        InputError: There is no such version or file.
    """
    folder = find_version(export_dir, version)
    if not users.is_file():
        raise InputError("The file of users must exist", received=users)
    return Plan(
        export=str(folder.resolve()),
        graph_sha256=file_sha256(folder / GRAPH_FILE),
        weights_sha256=file_sha256(folder / _WEIGHTS_INDEX),
        users=str(users.resolve()),
        users_sha256=file_sha256(users),
        user_column=column,
        k=k,
        rows_per_file=rows_per_file,
    )


def recommend_all(wanted: Plan, out: Path, batch_size: int, report: Report) -> int:
    """Writes the lists that are not there yet.

    Args:
        wanted: What to write.
        out: The folder of the lists.
        batch_size: Users that the graph takes at once.
        report: Takes lines of progress.

    Returns:
        Users in all files.

    Raises:
        InputError: The folder holds something else, or users cannot be read.
    """
    _claim(wanted, out)
    folder = Path(wanted.export)
    # One graph at a time: all threads are for what is inside it.
    servable = Servable("batch", int(folder.name), folder, GraphThreads(inter_op=0))
    signature = _signature(servable, folder)
    is_text = signature.inputs["user"].dtype == tf.string
    progress, rows = Progress("recommending", 0, report), 0
    pieces = read_users(Path(wanted.users), wanted.user_column, is_text, wanted.rows_per_file)
    for number, users in enumerate(pieces):
        path = out / f"part-{number:05d}.parquet"
        rows += len(users)
        if path.is_file():
            continue
        lists = [
            _lists(servable, signature, users[start : start + batch_size], wanted.k, progress)
            for start in range(0, len(users), batch_size)
        ]
        _write(pa.concat_tables(lists), path)
    servable.close()
    write_json(out / MANIFEST_FILE, {**asdict(wanted), "rows": rows})
    return rows


def _claim(wanted: Plan, out: Path) -> None:
    """Notes the plan in a folder without lists, or checks that it is the one noted there."""
    path = out / PLAN_FILE
    if path.is_file():
        noted = json.loads(path.read_text(encoding="utf-8"))
        changed = [name for name, value in asdict(wanted).items() if noted.get(name) != value]
        if changed and any(out.glob("part-*.parquet")):
            raise InputError(
                "An interrupted run must go on with what it began with",
                received=f"another {', '.join(changed)}",
                where=path,
                action="Use the same flags and files, or another --out",
            )
        if not changed:
            return
    elif out.exists() and any(out.iterdir()):
        raise InputError("--out must be new, or hold an interrupted run", received=out)
    out.mkdir(parents=True, exist_ok=True)
    write_json(path, asdict(wanted))


def _signature(servable: Servable, folder: Path) -> Signature:
    if _SIGNATURE not in servable.signature_defs:
        raise InputError(
            f"The export must have the signature {_SIGNATURE}",
            received=", ".join(sorted(servable.signature_defs)),
            where=folder,
            action="Export a model of users and items",
        )
    return servable.signature(_SIGNATURE)


def _lists(
    servable: Servable, signature: Signature, users: np.ndarray, k: int, progress: Progress
) -> pa.Table:
    inputs = {"user": users, "k": np.full(len(users), k, np.int32)}
    values = servable.run(checked_inputs(signature, inputs), list(signature.fetches.values()))
    outputs = dict(zip(signature.fetches, values, strict=True))
    progress.add(len(users), len(users))
    return _table(users, outputs)


def _table(users: np.ndarray, outputs: Mapping[str, np.ndarray]) -> pa.Table:
    items, scores = outputs["items"], outputs["scores"]
    is_item = scores > np.finfo(np.float32).min
    ends = np.concatenate([[0], np.cumsum(is_item.sum(axis=1))]).astype(np.int32)
    return pa.table(
        {
            "user": _ids(users),
            "items": pa.ListArray.from_arrays(ends, _ids(items[is_item])),
            "scores": pa.ListArray.from_arrays(ends, scores[is_item]),
            "is_popular": outputs["is_popular"],
        }
    )


def _ids(raw: np.ndarray) -> pa.Array:
    return pa.array(raw, pa.binary()).cast(pa.string()) if raw.dtype == object else pa.array(raw)


def _write(table: pa.Table, path: Path) -> None:
    partial = path.with_name(f".{path.name}.partial")
    pa.parquet.write_table(table, partial)
    fsync_path(partial)
    partial.rename(path)
    fsync_path(path.parent)
