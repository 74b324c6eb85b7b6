"""e2guardian as Debian ships it, with its own phrase lists, intercepting TLS, with UT1 as its banned sites."""

import os
import pwd
import re
import shutil
import subprocess
import time
from pathlib import Path

from gateway_parts.lists import BlockLists
from gateway_parts.origin import USUAL_PORT_ADDRESS, Origin, write_proxy_authority
from gateway_parts.processes import StartError, free_port, start
from gateway_parts.proxies import Proxy, command

PACKAGE = Path("/etc/e2guardian")


def _set(text: str, **settings: str) -> str:
    """Set `name = value` lines, commented out or not; add what is absent."""
    for name, value in settings.items():
        line = f"{name} = {value}"
        text, found = re.subn(rf"^#?{name} *=.*$", line.replace("\\", r"\\"), text, count=1, flags=re.MULTILINE)
        if not found:
            text += f"\n{line}\n"
    return text


def e2guardian(folder: Path, origin: Origin, cores: set[int], lists: BlockLists) -> Proxy:
    """Start e2guardian on a copy of the package's configuration; StartError when it is missing or refuses.

    It intercepts port 443 only, so it gets the site under a loopback address of its own. It can't check a certificate for
    an address, nor can the client: both are off, which spares it a little work per new connection.
    """
    program = command("e2guardian")
    if not (PACKAGE / "e2guardian.conf").exists():
        raise StartError(f"{PACKAGE} has no configuration to copy")
    shutil.copytree(PACKAGE, folder)
    for file in folder.rglob("*"):
        if file.is_file() and not file.is_symlink():
            content = file.read_bytes()
            if b"/etc/e2guardian" in content:
                file.write_bytes(content.replace(b"/etc/e2guardian", str(folder).encode()))
    port = free_port()
    certificate, key = write_proxy_authority(folder / "private")
    (folder / "private" / "generatedcerts").mkdir()
    _trust(folder / "trusted", origin.authority)
    user = pwd.getpwuid(os.getuid()).pw_name
    main = folder / "e2guardian.conf"
    text = _set(
        main.read_text(errors="replace"), filterip="127.0.0.1", filterports=str(port), nodaemon="on", loglocation=f"'{folder}/access.log'",
        pidfilename=f"'{folder}/e2guardian.pid'", daemonuser=f"'{user}'", daemongroup=f"'{user}'", enablessl="on",
        cacertificatepath=f"'{certificate}'", caprivatekeypath=f"'{key}'", certprivatekeypath=f"'{key}'",
        generatedcertpath=f"'{folder}/private/generatedcerts/'", sslcertificatepath=f"'{folder}/trusted/'", filecachedir=f"'{folder}'",
    )  # fmt: skip
    # Its built-in dates, ten years from 2014, are over: browsers would refuse every certificate it makes.
    now = int(time.time())
    text = _set(text, generatedcertstart=str(now - 86_400), generatedcertend=str(now + 180 * 86_400))
    main.write_text(re.sub(r"^transparenthttpsport.*$", "", text, flags=re.MULTILINE))
    group = folder / "e2guardianf1.conf"
    group.write_text(_set(group.read_text(errors="replace"), sslmitm="on", mitmcheckcert="off"))
    banned = folder / "lists" / "bannedsitelist"
    banned.write_text(banned.read_text(errors="replace") + f"\n.Include<{lists.domains}>\n")
    for refusing in ("bannedextensionlist", "bannedmimetypelist"):
        (folder / "lists" / refusing).write_text("")
    urls = folder / "lists" / "bannedurllist"
    urls.write_text(urls.read_text(errors="replace") + f"\n.Include<{lists.urls}>\n")
    started = start([program, "-N", "-c", str(main)], folder, "e2guardian", cores=cores)
    try:
        started.wait_port(port, 90)
    except StartError:
        started.stop()
        raise
    return Proxy(
        "e2guardian", "e2guardian with its phrase scan and UT1", "127.0.0.1", port, started, None,
        secure_site=(USUAL_PORT_ADDRESS, 443), blocked_host=lists.blocked_host,
        blocked_statuses=frozenset({200, 302, 403}), facts={"phrases": _phrases(folder), "domains": lists.domain_count},
        no_https="" if origin.usual_port else f"intercepts port 443 only, and this user may not serve on {USUAL_PORT_ADDRESS}:443",
    )  # fmt: skip


def _trust(folder: Path, authority: Path) -> None:
    """Make a folder of trusted authorities as OpenSSL reads them: one file per certificate, named by its hash."""
    folder.mkdir()
    name = subprocess.run(
        [command("openssl"), "x509", "-in", str(authority), "-noout", "-hash"], capture_output=True, text=True, check=True
    )
    shutil.copy(authority, folder / f"{name.stdout.strip()}.0")


def _phrases(folder: Path) -> int:
    """Count the phrases of the files that the weighted list includes."""
    listed = (folder / "lists" / "weightedphraselist").read_text(errors="replace")
    total = 0
    for name in re.findall(r"^\.Include<([^>]+)>", listed, flags=re.MULTILINE):
        if Path(name).exists():
            total += sum(line.startswith("<") for line in Path(name).read_text(errors="replace").splitlines())
    return total
