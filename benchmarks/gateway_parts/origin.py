"""The web site behind the proxies: nginx on loopback with pages of set sizes, or a small Python server without nginx."""

import os
import random
import shutil
import socket
import sys
from dataclasses import dataclass
from pathlib import Path

import trustme
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from gateway_parts.processes import Started, free_port, start

DOWNLOAD_BYTES = 200 * 1000 * 1000
NAMES = ("localhost", "www.origin.example", "plain.origin.example", "*.origin.example", "www.google.com", "127.0.0.1", "127.0.0.43")
NUMBER = b'<!--# echo var="request_id" -->'
"""Place in a page where the origin puts a number of 32 digits, another one for each answer: no proxy has seen that page before."""
USUAL_PORT_ADDRESS = "127.0.0.43"
"""Loopback address of the same site on port 443, for e2guardian, which intercepts no other port."""

_NGINX = """
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/nginx-error.log error;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  sendfile on;
  tcp_nopush on;
  keepalive_timeout 300s;
  keepalive_requests 100000000;
  types {{ text/html html; application/octet-stream bin; }}
  charset utf-8;
  default_type text/html;
  client_body_temp_path {folder}/t1; proxy_temp_path {folder}/t2; fastcgi_temp_path {folder}/t3;
  uwsgi_temp_path {folder}/t4; scgi_temp_path {folder}/t5;
  ssl_certificate {folder}/origin.pem;
  ssl_certificate_key {folder}/origin.pem;
  ssl_session_cache shared:s:10m;
  server {{
    listen 127.0.0.1:{http};
    listen 127.0.0.1:{https} ssl;
    {usual}
    root {folder}/site;
    open_file_cache max=100;
    location / {{ try_files $uri /10k.html; }}
    location /unique- {{ ssi on; ssi_silent_errors on; }}
  }}
}}
"""

_WORDS = [
    "school",
    "river",
    "stone",
    "garden",
    "window",
    "letter",
    "number",
    "planet",
    "science",
    "history",
    "music",
    "paper",
    "bridge",
    "market",
    "winter",
    "summer",
    "teacher",
    "lesson",
    "answer",
    "question",
    "measure",
    "circle",
    "animal",
    "forest",
    "island",
    "weather",
    "engine",
    "village",
    "bottle",
    "kitchen",
    "ladder",
    "pencil",
    "picture",
    "travel",
    "harvest",
    "morning",
    "evening",
    "colour",
    "family",
    "council",
    "report",
    "library",
    "reading",
    "writing",
    "exercise",
]


@dataclass(frozen=True, slots=True)
class Origin:
    """A running origin: its ports, the PEM file of the authority that signed its certificate, and its process."""

    http_port: int
    https_port: int
    authority: Path
    server: Started
    kind: str
    usual_port: bool
    """Whether it also listens on port 443 of `USUAL_PORT_ADDRESS`."""

    def stop(self) -> None:
        """End the origin."""
        self.server.stop()


def page(size: int, seed: int) -> bytes:
    """Return an HTML page of exactly `size` bytes: harmless prose in paragraphs with links and a little script."""
    choose = random.Random(seed)
    head = "<!doctype html><html lang=en><head><meta charset=utf-8><title>Plain prose</title><style>p{margin:1em}</style></head><body>"
    tail = "</body></html>\n"
    parts = [head]
    length = len(head) + len(tail)
    while length < size:
        words = " ".join(choose.choice(_WORDS) for _ in range(40))
        part = f'<p class="text">{words}. <a href="/page/{choose.randrange(10**6)}.html">{choose.choice(_WORDS)}</a></p>\n'
        parts.append(part)
        length += len(part)
    body = "".join(parts)[: size - len(tail)]
    return (body + tail).encode("ascii").ljust(size)


def write_site(folder: Path) -> None:
    """Write the pages and the download."""
    site = folder / "site"
    site.mkdir()
    (site / "10k.html").write_bytes(page(10_000, 1))
    (site / "100k.html").write_bytes(page(100_000, 2))
    for name, size in (("10k", 10_000), ("100k", 100_000)):
        (site / f"unique-{name}.html").write_bytes(page(size, 4).replace(b"</body>", b"<p>" + NUMBER + b"</p></body>"))
    block = random.Random(3).randbytes(1_000_000)
    with (site / "large.bin").open("wb") as out:
        for _ in range(DOWNLOAD_BYTES // len(block)):
            out.write(block)


def write_certificates(folder: Path) -> Path:
    """Write the origin's P-256 certificate chain and key as one file; return the authority's PEM file."""
    authority = trustme.CA(key_type=trustme.KeyType.ECDSA)
    leaf = authority.issue_cert(*NAMES, key_type=trustme.KeyType.ECDSA)
    leaf.private_key_and_cert_chain_pem.write_to_path(str(folder / "origin.pem"))
    authority.cert_pem.write_to_path(str(folder / "origin-ca.pem"))
    return folder / "origin-ca.pem"


def write_proxy_authority(folder: Path) -> tuple[Path, Path]:
    """Write a P-256 authority for a peer that intercepts TLS; return its certificate and its key, as PEM files."""
    folder.mkdir(parents=True, exist_ok=True)
    authority = trustme.CA(key_type=trustme.KeyType.ECDSA)
    certificate, key = folder / "ca.crt", folder / "ca.key"
    authority.cert_pem.write_to_path(str(certificate))
    authority.private_key_pem.write_to_path(str(key))
    key.chmod(0o600)
    x509.load_pem_x509_certificate(certificate.read_bytes())
    load_pem_private_key(key.read_bytes(), None)
    return certificate, key


def start_origin(folder: Path, cores: set[int], kind: str = "auto") -> Origin:
    """Start the origin in `folder` on the given cores; `kind` is auto, nginx or python."""
    folder.mkdir(parents=True, exist_ok=True)
    write_site(folder)
    authority = write_certificates(folder)
    http, https = free_port(), free_port()
    nginx = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
    if kind == "auto":
        kind = "nginx" if nginx else "python"
    usual_port = kind == "nginx" and _may_listen(USUAL_PORT_ADDRESS, 443)
    if kind == "nginx" and nginx:
        # nginx started by root gives its worker to `nobody`, who must be able to enter the folder.
        lines = "user root;\n" if os.geteuid() == 0 else ""
        usual = f"listen {USUAL_PORT_ADDRESS}:443 ssl;" if usual_port else ""
        (folder / "nginx.conf").write_text(lines + _NGINX.format(folder=folder, http=http, https=https, usual=usual))
        command = [nginx, "-e", f"{folder}/nginx-error.log", "-p", str(folder), "-c", str(folder / "nginx.conf")]
    else:
        script = Path(__file__).with_name("python_origin.py")
        command = [sys.executable, str(script), str(http), str(https), str(folder)]
    server = start(command, folder, "origin", cores=cores)
    server.wait_port(http, 20)
    server.wait_port(https, 20)
    return Origin(http, https, authority, server, kind, usual_port)


def _may_listen(address: str, port: int) -> bool:
    """Tell whether this user may listen there and nobody does."""
    try:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((address, port))
    except OSError:
        return False
    return True
