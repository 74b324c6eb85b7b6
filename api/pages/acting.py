"""What a form asks for: done, and on to the next page, or refused, with the sentence on the page that it came from."""

from collections.abc import Callable

from starlette.responses import RedirectResponse, Response

from api.errors import RefusedError


def acted(work: Callable[[], object], on: str, again: Callable[..., Response]) -> Response:
    """Do the work and lead on to the address `on`; where it is refused, answer with `again(status=…, sentence=…)`."""
    try:
        work()
    except RefusedError as error:
        return again(status=error.status, sentence=error.sentence)
    return RedirectResponse(on, 303)
