"""The UT1 lists for the peers: the categories to block, in one file of domains and one of URLs."""

import re
import tarfile
from dataclasses import dataclass
from pathlib import Path

DEFAULT = Path(__file__).parents[3] / "shared" / "data" / "domains" / "ut1-blacklists.tar.gz"
_PLAIN = re.compile(r"[a-z]{5,20}\.com")


@dataclass(frozen=True, slots=True)
class BlockLists:
    """Domains and URLs of every category that its publisher marks as black, and a listed host to ask for."""

    domains: Path
    urls: Path
    domain_count: int
    url_count: int
    blocked_host: str


def unpack(archive: Path, folder: Path) -> BlockLists:
    """Unpack UT1 (`blacklists/CATEGORY/{domains,urls,usage}` in a tar.gz) into `folder`; ValueError when it holds none."""
    folder.mkdir(parents=True, exist_ok=True)
    files: dict[tuple[str, str], list[str]] = {}
    with tarfile.open(archive) as tar:
        for member in tar:
            parts = member.name.split("/")
            if member.isfile() and len(parts) >= 3 and parts[-1] in ("domains", "urls", "usage"):
                source = tar.extractfile(member)
                if source:
                    files[parts[-2], parts[-1]] = [line for line in source.read().decode("utf-8", "replace").split("\n") if line.strip()]
    black = sorted(
        {category for (category, kind), lines in files.items() if kind == "usage" and any(line.strip() == "black" for line in lines)}
    )
    domains = sorted({line.strip().lower() for category in black for line in files.get((category, "domains"), ())})
    urls = sorted({line.strip() for category in black for line in files.get((category, "urls"), ())})
    if not domains:
        raise ValueError(f"{archive} holds no black category of UT1")
    candidates = [line.strip() for line in files.get(("gambling", "domains"), domains) if _PLAIN.fullmatch(line.strip())]
    (folder / "domains").write_text("\n".join(domains) + "\n")
    (folder / "urls").write_text("\n".join(urls) + "\n")
    return BlockLists(folder / "domains", folder / "urls", len(domains), len(urls), candidates[0] if candidates else domains[0])
