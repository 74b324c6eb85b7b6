"""How people reach the console: its names, its certificate, and the plain address that stays inside the machine."""

import ssl
from dataclasses import dataclass
from pathlib import Path

from schoolgate.address import Address
from schoolgate.errors import Problem, files_explained


@dataclass(frozen=True, slots=True)
class ConsoleOptions:
    """Everything about the console's address that is not the address."""

    names: tuple[str, ...] = ()
    """Further host names under which people reach it, lower case; the first one stands in links."""
    certificate: Path | None = None
    """PEM with the certificate and those above it; with it, the console speaks HTTPS."""
    key: Path | None = None
    inside: Address | None = None
    """Loopback address where workers and commands of this machine reach it by plain HTTP, when that is not its own address."""

    @property
    def https(self) -> bool:
        """True when people reach the console by HTTPS."""
        return self.certificate is not None

    def people_url(self, address: Address) -> str:
        """Return the URL for people, without a path."""
        place = address.reachable
        host = f"{self.names[0]}:{place.port}" if self.names else str(place)
        return f"{'https' if self.https else 'http'}://{host}"

    def needs_inside(self, address: Address) -> bool:
        """True when commands and workers can't use the address for people: it speaks HTTPS, or is not loopback."""
        return self.https or not address.reachable.loopback

    def check(self) -> None:
        """Raise `Problem` with one sentence for a certificate that can't be used."""
        if (self.certificate is None) != (self.key is None):
            raise Problem("--console-cert and --console-key belong together; give both, or neither for plain HTTP.")
        if self.certificate is None or self.key is None:
            return
        for path in (self.certificate, self.key):
            with files_explained("read", path):
                path.read_bytes()
        try:
            # The empty password keeps OpenSSL from asking a terminal for one.
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(self.certificate, self.key, password="")
        except (ssl.SSLError, ValueError) as error:
            raise Problem(
                f"{self.certificate} and {self.key} are not a certificate (PEM, the chain below it) and its own key without a password "
                f"({getattr(error, 'reason', None) or error}); name files that belong together."
            ) from error


def console_names(given: list[str] | None) -> tuple[str, ...]:
    """Read the host names that `--console-name` gives; raises `Problem`."""
    names = []
    for text in given or ():
        name = text.strip().lower().rstrip(".")
        labels = name.split(".")
        if not name or len(name) > 253 or not all(_label(label) for label in labels):
            raise Problem(f"--console-name {text!r} is not a host name; write for example --console-name filter.hilltop.sch.uk.")
        names.append(name)
    return tuple(names)


def _label(text: str) -> bool:
    plain = text.replace("-", "")
    return 0 < len(text) <= 63 and plain.isascii() and plain.isalnum() and text[0] != "-" and text[-1] != "-"
