"""Every route x every role: who may do what is what the table of permissions says."""

from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.routing import APIRoute

from api.app import ROUTERS
from api.identity import Needs
from api.permissions import TABLE, Permission, Role, may

OPEN = {
    ("GET", "/"), ("GET", "/sign-in"), ("POST", "/sign-in"), ("POST", "/sign-out"), ("GET", "/set-password/{secret}"),
    ("POST", "/set-password/{secret}"), ("GET", "/help"), ("GET", "/ca.crt"), ("GET", "/proxy.pac"), ("GET", "/unblock"),
    ("POST", "/unblock"), ("POST", "/continue"),
}  # fmt: skip
"""What answers without a name; everything else names a permission."""


def routes() -> Iterator[tuple[str, str, Permission | None]]:
    for router in ROUTERS:
        for route in router.routes:
            assert isinstance(route, APIRoute)
            needs = [d.call.permission for d in route.dependant.dependencies if isinstance(d.call, Needs)]
            assert len(needs) <= 1, f"{route.path} names two permissions"
            for method in sorted(route.methods - {"HEAD"}):
                yield method, route.path, needs[0] if needs else None


ALL = list(routes())
GUARDED = [route for route in ALL if route[2] is not None]


def filled(path: str) -> str:
    for name in ("alert_id", "request_id"):
        path = path.replace("{" + name + "}", "999999")
    return path.replace("{grant_id}", "0" * 32).replace("{name}", "nobody").replace("{secret}", "x")


def test_every_route_names_a_permission_or_is_known_to_be_open() -> None:
    assert {(method, path) for method, path, permission in ALL if permission is None} == OPEN


def test_every_permission_guards_something() -> None:
    # Whoever may not read all unblock requests sees their own under the same address.
    assert {permission for _, _, permission in ALL} - {None} == set(Permission) - {Permission.READ_UNBLOCKS}


@pytest.mark.parametrize(("method", "path", "permission"), GUARDED, ids=str)
def test_a_route_opens_for_exactly_the_roles_of_the_table(world: Any, method: str, path: str, permission: Permission) -> None:
    for role in Role:
        with world.client(role.value) as client, client.stream(method, filled(path), headers={"Accept": "application/json"}) as answer:
            if may(role, permission):
                assert answer.status_code not in (401, 403), (role, answer.status_code)
            else:
                assert answer.status_code == 403, (role, answer.status_code)
                answer.read()
                assert list(answer.json()) == ["error"]


@pytest.mark.parametrize(("method", "path", "permission"), GUARDED, ids=str)
def test_a_route_is_closed_without_a_name_and_with_a_wrong_one(world: Any, method: str, path: str, permission: Permission) -> None:
    for headers in ({}, {"Authorization": "Bearer sgt_wrong"}, {"Authorization": "Basic eDp5"}, {"Cookie": "schoolgate=wrong"}):
        with world.client() as client:
            answer = client.request(method, filled(path), headers=headers | {"Accept": "application/json"})
            # Ten wrong tokens a minute are answered with 401, further ones with 429; both open nothing.
            assert answer.status_code in ((401, 429) if "sgt_wrong" in str(headers) else (401,))
            assert list(answer.json()) == ["error"]


def test_governors_see_numbers_and_nothing_with_a_name() -> None:
    assert TABLE[Role.GOVERNOR] == {Permission.KNOW_MYSELF, Permission.READ_NUMBERS}


@pytest.mark.parametrize("role", [Role.TECHNICIAN, Role.TEACHER, Role.GOVERNOR])
def test_technician_teacher_and_governor_read_no_history(role: Role) -> None:
    assert not TABLE[role] & {Permission.READ_EVENTS, Permission.READ_ALERTS, Permission.HANDLE_ALERTS, Permission.READ_AUDIT}


def test_me_says_role_and_permissions(world: Any) -> None:
    with world.client("teacher") as client:
        assert client.get("/api/v1/me").json() == {
            "actor": "token:teacher-1",
            "role": "teacher",
            "via": "token",
            "permissions": sorted(TABLE[Role.TEACHER]),
        }


def test_the_operator_token_acts_as_the_user_of_this_machine(world: Any) -> None:
    with world.client() as client:
        headers = {"Authorization": "Bearer operator-secret", "X-Schoolgate-Operator": "anna"}
        assert client.get("/api/v1/me", headers=headers).json()["actor"] == "os:anna"
        assert client.get("/api/v1/me", headers=headers | {"X-Schoolgate-Operator": "a b\tc"}).json()["actor"] == "os:operator"
        assert client.get("/api/v1/me", headers={"Authorization": "Bearer operator-secre"}).status_code in (401, 429)
