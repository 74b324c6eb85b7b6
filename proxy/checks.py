"""What a worker refuses to start with: settings and files that would make it unsafe."""

import hashlib
import os
import stat
import warnings
from collections.abc import Mapping
from pathlib import Path

from cryptography import x509
from cryptography.utils import CryptographyDeprecationWarning
from cryptography.x509.oid import NameOID
from mitmproxy import options as mitmproxy_options

TAINTED_NAMES = frozenset({"emSign ECC Root CA - G3", "emSign Root TLS CA - G3", "AAA Certificate Services"})
"""Anchors under which an intermediate with a published private key stands (mitmproxy 12.3, `certs.py`)."""
FORBIDDEN_OPTIONS = ("ssl_insecure", "emudhra", "emudhra_old")


class UnsafeSettingError(Exception):
    """The worker won't start; the text is one sentence that says why and what to do."""


def check_key(path: Path) -> None:
    """Raise `UnsafeSettingError` when other users of the machine can read a private key."""
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise UnsafeSettingError(f"{path} can't be read: {error.strerror}; restore it from the backup") from error
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise UnsafeSettingError(f"{path} can be read by other users of this machine; run: chmod 600 {path}")


def check_trust(path: Path) -> None:
    """Raise `UnsafeSettingError` when the authorities for upstream sites include one that anybody can forge under."""
    try:
        with warnings.catch_warnings():
            # Some old authorities have serial numbers that today's rules forbid; that is theirs, and harmless here.
            warnings.simplefilter("ignore", CryptographyDeprecationWarning)
            certificates = x509.load_pem_x509_certificates(path.read_bytes())
    except (OSError, ValueError) as error:
        raise UnsafeSettingError(f"the file of trusted authorities {path} can't be read as PEM: {error}") from error
    for certificate in certificates:
        for name in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME):
            if name.value in TAINTED_NAMES:
                digest = hashlib.sha256(certificate.tbs_certificate_bytes).hexdigest()[:16]
                raise UnsafeSettingError(
                    f"{path} trusts {name.value!r} ({digest}), under which an authority with a published key stands; remove it"
                )


def check_options(chosen: Mapping[str, object] | None = None) -> None:
    """Raise `UnsafeSettingError` when an option of mitmproxy that undoes certificate checks is on."""
    defaults = mitmproxy_options.Options()
    for name in FORBIDDEN_OPTIONS:
        value = (chosen or {}).get(name, getattr(defaults, name, False) if name in defaults else False)
        if value:
            raise UnsafeSettingError(f"mitmproxy's option {name} is on, which lets anybody forge a site's certificate; switch it off")


def check_environment() -> None:
    """Raise `UnsafeSettingError` when the environment asks for TLS secrets to be written to a file."""
    for name in ("SSLKEYLOGFILE", "MITMPROXY_SSLKEYLOGFILE"):
        if os.environ.get(name):
            raise UnsafeSettingError(f"the environment variable {name} is set, which writes everybody's TLS secrets to a file; unset it")
