"""The policy of the benchmark is one that our gateway takes."""

from pathlib import Path

from gateway_parts.origin import Origin
from gateway_parts.ours import policy_text
from gateway_parts.processes import Started

from rules.policy import parse_policy


def test_the_policy_of_the_benchmark_is_valid_and_opens_the_origin(tmp_path: Path) -> None:
    authority = tmp_path / "ca.pem"
    authority.write_text("-")
    origin = Origin(41000, 41001, authority, Started.__new__(Started), "nginx", usual_port=False)
    policy = parse_policy(policy_text(origin, "a note"), tmp_path / "policy.toml")
    assert policy.gateway.hosts["www.origin.example"] == "127.0.0.1"
    assert 41001 in policy.gateway.connect_ports
    assert "plain.origin.example" in policy.text.skip_hosts
