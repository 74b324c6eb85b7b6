"""The school's certificate authority, and the certificates that it signs while people browse."""

import datetime as dt
import ipaddress
import os
from collections import OrderedDict
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from OpenSSL import crypto

CA_DAYS = 3650
LEAF_DAYS = 197
"""Chromium refuses leaf certificates that are valid for more than 200 days."""
BACKDATE = dt.timedelta(days=2)
"""Devices whose clock is a little slow must accept a certificate made now."""
STORE_ENTRIES = 4096


class CertificateError(Exception):
    """The authority can't be read or made; the text is one sentence for people."""


def create_authority(folder: Path, school: str) -> None:
    """Make a P-256 authority in `folder`: `ca.key` (PEM, 0600) and `ca.crt` (PEM).

    Raises `CertificateError` when one of the files exists: an authority that devices trust is never replaced in passing.
    """
    key_file, certificate_file = folder / "ca.key", folder / "ca.crt"
    for file in (key_file, certificate_file):
        if file.exists():
            raise CertificateError(f"{file} exists already; move it away first if you want a new certificate authority")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = _authority_certificate(key, school)
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    _write(key_file, pem, 0o600)
    _write(certificate_file, certificate.public_bytes(serialization.Encoding.PEM), 0o644)


def _authority_certificate(key: ec.EllipticCurvePrivateKey, school: str) -> x509.Certificate:
    now = dt.datetime.now(dt.UTC)
    school = school.strip()[:48] or "School"
    name = x509.Name([
        x509.NameAttribute(NameOID.ORGANIZATION_NAME, school),
        x509.NameAttribute(NameOID.COMMON_NAME, f"{school} web filter"[:64]),
    ])  # fmt: skip
    usage = x509.KeyUsage(
        digital_signature=True, key_cert_sign=True, crl_sign=True, content_commitment=False, key_encipherment=False,
        data_encipherment=False, key_agreement=False, encipher_only=False, decipher_only=False,
    )  # fmt: skip
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATE)
        .not_valid_after(now + dt.timedelta(days=CA_DAYS))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )


def _write(path: Path, data: bytes, mode: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(file.fileno(), mode)
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


class Authority:
    """Signs leaf certificates and keeps the last few thousand, least recently used out first.

    All leaves of one process share one key of their own, so that the authority's key never takes part in a connection.
    """

    def __init__(self, key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate, entries: int = STORE_ENTRIES) -> None:
        self._key = key
        self.certificate = certificate
        self.leaf_key = ec.generate_private_key(ec.SECP256R1())
        self._leaf_public = self.leaf_key.public_key()
        self._entries = entries
        self._store: OrderedDict[str, tuple[float, crypto.X509]] = OrderedDict()
        identifier = certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
        self._issuer_identifier = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier)

    @classmethod
    def load(cls, folder: Path) -> "Authority":
        """Read `ca.key` and `ca.crt`; raises `CertificateError`."""
        try:
            key = serialization.load_pem_private_key((folder / "ca.key").read_bytes(), None)
            certificate = x509.load_pem_x509_certificate((folder / "ca.crt").read_bytes())
        except (OSError, ValueError, TypeError) as error:
            raise CertificateError(f"the certificate authority in {folder} can't be read ({error}); restore ca.key and ca.crt") from error
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise CertificateError(f"{folder / 'ca.key'} holds no elliptic-curve key; the gateway needs P-256")
        if key.public_key() != certificate.public_key():
            raise CertificateError(f"ca.key and ca.crt in {folder} don't belong together; restore the pair")
        return cls(key, certificate)

    def __len__(self) -> int:
        return len(self._store)

    def leaf(self, host: str) -> crypto.X509:
        """Return a certificate for a host name or address literal, in the form that TLS connections load."""
        entry = self._store.get(host)
        now = dt.datetime.now(dt.UTC)
        if entry is not None and entry[0] > now.timestamp():
            self._store.move_to_end(host)
            return entry[1]
        made = crypto.X509.from_cryptography(self.sign(host, now))
        # Replaced in the last third of its life, long before a browser would refuse it.
        self._store[host] = ((now + dt.timedelta(days=LEAF_DAYS * 2 // 3)).timestamp(), made)
        while len(self._store) > self._entries:
            self._store.popitem(last=False)
        return made

    def sign(self, host: str, now: dt.datetime) -> x509.Certificate:
        """Make a new leaf certificate for a host."""
        subject = [x509.NameAttribute(NameOID.COMMON_NAME, host)] if 0 < len(host) < 64 else []
        usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
        # No key identifier of its own: all leaves share a key, and SChannel trips over identifiers that repeat.
        return (
            x509.CertificateBuilder()
            .subject_name(x509.Name(subject))
            .issuer_name(self.certificate.subject)
            .public_key(self._leaf_public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(max(now - BACKDATE, self.certificate.not_valid_before_utc))
            .not_valid_after(min(now - BACKDATE + dt.timedelta(days=LEAF_DAYS), self.certificate.not_valid_after_utc))
            .add_extension(x509.SubjectAlternativeName([_general_name(host)]), critical=not subject)
            .add_extension(usage, critical=False)
            .add_extension(self._issuer_identifier, critical=False)
            .sign(self._key, hashes.SHA256())
        )


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host.strip("[]")))
    except ValueError:
        return x509.DNSName(host)
