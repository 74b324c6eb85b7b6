"""Does everything work? Workers, record, rules and lists; no names."""

from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Depends

from api.console import Console, console_of
from api.identity import Needs, Person
from api.permissions import Permission
from blocklists.library import Library

router = APIRouter(prefix="/api/v1")


@router.get("/health")
def health(
    console: Annotated[Console, Depends(console_of)], _: Annotated[Person, Depends(Needs(Permission.READ_HEALTH))]
) -> dict[str, Any]:
    """Show the state of everything; `ok` is false while something needs a person."""
    return console.analyser.health_view() | {"lists": lists_view(console)}


@router.get("/lists")
def lists(console: Annotated[Console, Depends(console_of)], _: Annotated[Person, Depends(Needs(Permission.READ_HEALTH))]) -> dict[str, Any]:
    """Show the lists that are loaded, and the names of the sealed ones: never an entry."""
    return {"lists": lists_view(console), "sealed": list(console.ruleset().sealed.names)}


def lists_view(console: Console) -> list[dict[str, Any]]:
    """Return the lists of the installation as programs see them."""
    statuses = Library(console.analyser.settings.lists).status()
    return [msgspec.to_builtins(status) | {"loaded": status.loaded.replace("+00:00", "Z")} for status in statuses]
