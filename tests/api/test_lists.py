"""Lists at the console: who may look, who may approve, and that no path and no name gets in or out."""

from pathlib import Path

from analyser.lists import changes
from analyser.lists.preview import preview
from analyser.lists.trial import Proposal, trial
from blocklists.library import Library


def held(world, name="held", entry="www.childline.org.uk"):
    path = world.root / f"{name}.txt"
    library = Library(world.root / "lists")
    path.write_text("roulette.example\n")
    library.load(name, path, "domains", "gambling")
    path.write_text(f"{entry}\n")
    with trial(library, Proposal(name, str(path), "domains", "gambling")) as tried:
        found = preview(tried, world.analyser.ruleset.policy, None, second_person=True)
        return changes.offer(world.analyser.casework, tried, found, "os:ann").change


def test_a_held_list_is_approved_by_those_who_may_and_then_in_force(world):
    number = held(world)
    for role in ("teacher", "governor"):
        with world.client(role) as client:
            assert client.post(f"/api/v1/list-changes/{number}/approve").status_code == 403
            assert client.get("/api/v1/list-changes").status_code == 403
    with world.client("dsl") as client:
        shown = client.get("/api/v1/list-changes", params={"status": "pending"}).json()["list_changes"]
        assert [(one["id"], one["objections"][0]["rule"]) for one in shown] == [(number, "vital")]
        assert client.post(f"/api/v1/list-changes/{number}/approve", json={"note": "seen"}).json()["status"] == "approved"
        assert client.post(f"/api/v1/list-changes/{number}/approve").status_code == 409
        assert client.post("/api/v1/list-changes/999/approve").status_code == 404
    world.eventually(lambda: world.analyser.ruleset.lists.count >= 3)


def test_the_command_line_alone_names_a_folder_and_only_one_on_trial(world):
    world.happen(host="www.roulette.test", user="pupil8")
    world.eventually(lambda: world.analyser.store.stats().events)
    path = world.root / "more.txt"
    path.write_text("roulette.test\n")
    operator = {"Authorization": "Bearer operator-secret", "X-Schoolgate-Operator": "ann"}
    with trial(Library(world.root / "lists"), Proposal("more", str(path), "domains", "gambling")) as tried:
        tried.compile()
        body = {"name": "more", "folder": str(tried.candidate.folder)}
        with world.client(**operator) as client:
            answer = client.post("/api/v1/list-preview", json=body)
            assert answer.status_code == 200, answer.text
            traffic = answer.json()["traffic"]
            assert (traffic["blocked"]["requests"], traffic["blocked"]["users"]) == (1, 1)
            assert "pupil8" not in answer.text
            assert client.post("/api/v1/list-preview", json=body | {"folder": str(Path("/etc"))}).status_code == 422
        with world.client("technician") as client:
            assert client.post("/api/v1/list-preview", json=body).status_code == 403
            assert client.post("/api/v1/list-preview", json={"name": "more"}).status_code == 422
