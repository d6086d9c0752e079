"""The form of errors."""

from __future__ import annotations

import pytest

from data.errors import InputError


@pytest.mark.parametrize(
    "action",
    [
        "Did you mean 'item'?",
        "Make one: python -m data.prepare --out=DATA",
        "Build it: PYTHON=python3.11 launch/build_horovod.sh",
        "Start them: launch/local.sh 2 --model=...",
    ],
)
def test_a_command_at_the_end_can_be_pasted(action: str) -> None:
    error = InputError("A rule must hold", received=3, where="table.csv", action=action)
    assert str(error) == f"A rule must hold. Received: 3. At: table.csv. {action}"


@pytest.mark.parametrize("action", ["Choose another folder", "Run: python -m a.b, or: leave it"])
def test_other_sentences_end_with_a_full_stop(action: str) -> None:
    assert str(InputError("A rule must hold", action=action)) == f"A rule must hold. {action}."
