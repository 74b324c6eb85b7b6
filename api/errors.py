"""Errors reach people as one sentence: JSON `{"error": …}` for programs, a page for browsers."""

from collections.abc import Mapping

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from api.render import page
from blocklists.errors import SealedListError

_SENTENCES = {
    404: "There is nothing under this address.",
    405: "This address does not do that; it answers to another method.",
}


class RefusedError(Exception):
    """A request that can't be done, with its status code and one sentence for the person."""

    def __init__(self, status: int, sentence: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(sentence)
        self.status = status
        self.sentence = sentence
        self.headers = dict(headers or {})


class SignInNeededError(RefusedError):
    """Nobody is signed in."""

    def __init__(self, sentence: str = "Sign in first, or send a bearer token.") -> None:
        super().__init__(401, sentence, {"WWW-Authenticate": "Bearer"})


def wants_page(request: Request) -> bool:
    """Say whether the answer goes to a browser's window instead of a program."""
    return not request.url.path.startswith("/api/") and "text/html" in request.headers.get("accept", "")


def error_response(request: Request, status: int, sentence: str, headers: Mapping[str, str] | None = None) -> Response:
    """Say in one sentence what is wrong."""
    if wants_page(request):
        return page(request, "error.html", status=status, sentence=sentence, headers=headers)
    return JSONResponse({"error": sentence}, status, headers=dict(headers or {}))


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, RefusedError)
    if error.status == 401 and wants_page(request):
        next_path = request.url.path if request.method == "GET" else "/"
        return RedirectResponse(request.url_for("sign_in").include_query_params(next=next_path).replace(scheme="", netloc=""), 303)
    return error_response(request, error.status, error.sentence, error.headers)


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return error_response(request, error.status_code, _SENTENCES.get(error.status_code, str(error.detail)), error.headers)


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    problems = []
    for problem in error.errors()[:5]:
        # The value itself is not repeated: it may be a password.
        where = ".".join(str(part) for part in problem["loc"] if part not in ("body", "query", "path", "header"))
        message = str(problem["msg"]).removeprefix("Value error, ").rstrip(".")
        problems.append(f"{where}: {message[:1].lower()}{message[1:]}" if where else message)
    return error_response(request, 422, "The request can't be read: " + "; ".join(problems) + ".")


async def _sealed(request: Request, error: Exception) -> Response:
    del error
    return error_response(request, 503, "A list of unlawful content can't be read, so nothing can be decided; tell the technician.")


def add_error_handlers(app: FastAPI) -> None:
    """Register the handlers of an application."""
    app.add_exception_handler(RefusedError, _refused)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(SealedListError, _sealed)
