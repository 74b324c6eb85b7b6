"""Who am I, and what may I do?"""

from typing import Annotated, Any

from fastapi import APIRouter, Depends

from api.identity import Needs, Person
from api.permissions import TABLE, Permission

router = APIRouter(prefix="/api/v1")


@router.get("/me")
def me(person: Annotated[Person, Depends(Needs(Permission.KNOW_MYSELF))]) -> dict[str, Any]:
    """Show who the console takes the caller for."""
    return {"actor": person.actor, "role": person.role, "via": person.via, "permissions": sorted(TABLE[person.role])}
