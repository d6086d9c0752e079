"""What a server refused, or why it could not be asked."""

from __future__ import annotations

from data.errors import InputError


class RequestError(InputError):
    """A request without an answer.

    Args:
        rule: What must hold.
        code: The canonical status, such as `NOT_FOUND`; `UNAVAILABLE` where no server answers.
        received: What was received instead.
        where: The model's address.
        action: What to do.
    """

    def __init__(
        self, rule: str, code: str, *, received: object, where: object, action: str | None = None
    ) -> None:
        super().__init__(rule, received=received, where=where, action=action)
        self.code = code


def no_answer(received: object, where: str, code: str) -> RequestError:
    """Returns the error of a server that does not answer."""
    return RequestError(
        "The server must answer",
        code,
        received=received,
        where=where,
        action="Start it: python -m serving.local_server --model_base_path=EXPORT",
    )


def refused(code: str, message: str, where: str) -> RequestError:
    """Returns the error of a request that the server does not accept."""
    return RequestError("The server must accept the request", code, received=message, where=where)
