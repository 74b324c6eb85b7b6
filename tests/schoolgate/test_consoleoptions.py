"""How people reach the console: names, certificate, and what stays inside the machine."""

from pathlib import Path

import pytest
import trustme

from schoolgate.address import Address
from schoolgate.consoleoptions import ConsoleOptions, console_names
from schoolgate.errors import Problem

LOOPBACK = Address("127.0.0.1", 8081)


@pytest.mark.parametrize("name", ["", "two words", "http://x.test", "x.test:8081", "-x.test", "x..test", "a" * 64, "*.x.test"])
def test_what_is_no_host_name_is_refused(name: str) -> None:
    with pytest.raises(Problem, match="is not a host name"):
        console_names([name])


def test_names_are_lower_case_and_the_first_one_stands_in_links() -> None:
    names = console_names(["Filter.Hilltop.sch.uk.", "filter"])
    assert names == ("filter.hilltop.sch.uk", "filter")
    assert ConsoleOptions(names).people_url(LOOPBACK) == "http://filter.hilltop.sch.uk:8081"
    assert ConsoleOptions().people_url(Address("0.0.0.0", 8081)) == "http://127.0.0.1:8081"


@pytest.mark.parametrize(("host", "needed"), [("127.0.0.1", False), ("0.0.0.0", False), ("::1", False), ("10.0.0.5", True)])
def test_an_address_that_this_machine_does_not_reach_as_loopback_needs_another_inside(host: str, needed: bool) -> None:
    assert ConsoleOptions().needs_inside(Address(host, 8081)) is needed


def test_a_certificate_and_its_key_belong_together(tmp_path: Path) -> None:
    made = trustme.CA().issue_cert("filter.test")
    certificate, key, other = tmp_path / "cert.pem", tmp_path / "key.pem", tmp_path / "other.pem"
    certificate.write_bytes(b"".join(blob.bytes() for blob in made.cert_chain_pems))
    made.private_key_pem.write_to_path(key)
    trustme.CA().issue_cert("filter.test").private_key_pem.write_to_path(other)
    good = ConsoleOptions(certificate=certificate, key=key)
    good.check()
    assert good.https
    assert good.needs_inside(LOOPBACK)
    assert good.people_url(LOOPBACK) == "https://127.0.0.1:8081"
    for wrong, sentence in (
        (ConsoleOptions(certificate=certificate), "belong together"),
        (ConsoleOptions(certificate=certificate, key=other), "are not a certificate"),
        (ConsoleOptions(certificate=key, key=key), "are not a certificate"),
        (ConsoleOptions(certificate=tmp_path / "none", key=key), "Can't read"),
    ):
        with pytest.raises(Problem, match=sentence):
            wrong.check()
