"""Where a version stands between its folder and its last request."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from serving.server.errors import Code


class State(IntEnum):
    """States of a version; names and numbers of `get_model_status.proto`."""

    UNKNOWN = 0
    START = 10
    LOADING = 20
    AVAILABLE = 30
    UNLOADING = 40
    END = 50


@dataclass(frozen=True)
class VersionStatus:
    """The state of one version.

    Attributes:
        version: The version.
        state: Where it stands; END with an error where it cannot be loaded.
        code: OK, or why it cannot be loaded.
        message: The error's message.
        attempts: How often loading it was tried.
        retry_at: When to try again, by `time.monotonic`.
    """

    version: int
    state: State
    code: Code = Code.OK
    message: str = ""
    attempts: int = 0
    retry_at: float = 0.0
