"""How a training command ends when it fails."""

from __future__ import annotations

import pytest
import tensorflow as tf

from trainers.failures import EXIT_LOST_RANK, explained_failures

_SHUT_DOWN = "Horovod has been shut down. This was caused by an exception on one of the ranks"


def test_a_lost_rank_is_told_of_with_all_that_may_be_the_matter(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trainers.failures._LAST_WORD_SECONDS", 0.0)
    with pytest.raises(SystemExit) as ended, explained_failures():
        raise tf.errors.UnknownError(None, None, _SHUT_DOWN)
    assert ended.value.code == EXIT_LOST_RANK
    told = "error: Another rank has ended, is stalled or cannot be reached any more\n"
    assert capsys.readouterr().err == told
