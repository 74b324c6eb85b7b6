"""Squid with certificates made on the fly and squidGuard over UT1: no look into pages."""

import os
import pwd
import shutil
import subprocess
from pathlib import Path

from gateway_parts.lists import BlockLists
from gateway_parts.origin import Origin, write_proxy_authority
from gateway_parts.processes import StartError, free_port, start
from gateway_parts.proxies import Proxy, command

_CERTGEN = Path("/usr/lib/squid/security_file_certgen")

_SQUID = """
http_port 127.0.0.1:{port} ssl-bump generate-host-certificates=on tls-cert={folder}/ca.crt tls-key={folder}/ca.key
sslcrtd_program {certgen} -s {folder}/certificates -M 16MB
sslcrtd_children 4 startup=1 idle=1
acl step1 at_step SslBump1
ssl_bump peek step1
ssl_bump bump all
tls_outgoing_options cafile={origin_ca}
url_rewrite_program {guard} -c {folder}/squidguard.conf
url_rewrite_children 4 startup=1 idle=1 concurrency=0
http_access allow localhost
http_access deny all
cache deny all
cache_mem 8 MB
access_log stdio:{folder}/access.log
cache_log {folder}/cache.log
pid_filename {folder}/squid.pid
coredump_dir {folder}
netdb_filename none
pinger_enable off
visible_hostname localhost
shutdown_lifetime 1 seconds
{user}
"""

_GUARD = """
dbhome {folder}/db
logdir {folder}
dest blocked {{
  domainlist domains
  urllist urls
}}
acl {{
  default {{
    pass !blocked all
    redirect 302:http://localhost:{origin_port}/10k.html
  }}
}}
"""


def squid(folder: Path, origin: Origin, cores: set[int], lists: BlockLists) -> Proxy:
    """Start Squid with squidGuard; StartError when a package is missing or Squid refuses."""
    program, guard = command("squid"), command("squidGuard")
    if not _CERTGEN.exists():
        raise StartError("squid-openssl is not installed (no security_file_certgen)")
    folder.mkdir(parents=True)
    write_proxy_authority(folder)
    port = free_port()
    user = "proxy" if os.geteuid() == 0 else ""
    (folder / "squid.conf").write_text(
        _SQUID.format(
            port=port,
            folder=folder,
            certgen=_CERTGEN,
            guard=guard,
            origin_ca=origin.authority,
            user=f"cache_effective_user {user}" if user else "",
        )
    )
    (folder / "squidguard.conf").write_text(_GUARD.format(folder=folder, origin_port=origin.http_port))
    (folder / "db").mkdir()
    shutil.copy(lists.domains, folder / "db" / "domains")
    shutil.copy(lists.urls, folder / "db" / "urls")
    _run([str(_CERTGEN), "-c", "-s", str(folder / "certificates"), "-M", "16MB"], folder)
    _run([guard, "-c", str(folder / "squidguard.conf"), "-C", "all"], folder)
    if not (folder / "db" / "domains.db").exists():
        raise StartError("squidGuard made no database of the domains")
    if user:
        account = pwd.getpwnam(user)
        for path in (folder, *folder.rglob("*")):
            os.chown(path, account.pw_uid, account.pw_gid)
    started = start([program, "-N", "-n", f"bench{port}", "-f", str(folder / "squid.conf")], folder, "squid", cores=cores)
    try:
        started.wait_port(port, 60)
    except StartError as fault:
        started.stop()
        log = folder / "cache.log"
        raise StartError(f"{fault} {log.read_text(errors='replace')[-300:] if log.exists() else ''}") from fault
    return Proxy(
        "squid",
        "Squid with squidGuard and UT1, no scan of pages",
        "127.0.0.1",
        port,
        started,
        folder / "ca.crt",
        blocked_host=lists.blocked_host,
        blocked_statuses=frozenset({302, 403}),
        facts={"domains": lists.domain_count, "urls": lists.url_count},
    )


def _run(arguments: list[str], folder: Path) -> None:
    done = subprocess.run(arguments, cwd=folder, capture_output=True, text=True, timeout=300, check=False)
    if done.returncode:
        raise StartError(f"{Path(arguments[0]).name} ended with code {done.returncode}: {(done.stderr or done.stdout).strip()[-200:]}")
