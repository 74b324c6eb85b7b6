"""All formats by their names."""

from blocklists.formats.adblock import ADBLOCK
from blocklists.formats.addresses import NETWORKS
from blocklists.formats.digests import SAFEBROWSING, SHA256
from blocklists.formats.dnsmasq import DNSMASQ
from blocklists.formats.domains import DOMAINS, WILDCARD
from blocklists.formats.e2guardian import E2GUARDIAN
from blocklists.formats.expressions import EXPRESSIONS
from blocklists.formats.hosts import HOSTS
from blocklists.formats.interface import Format
from blocklists.formats.rpz import RPZ
from blocklists.formats.services import ADGUARD_SERVICES, EXCLUSIONS, NEXTDNS, V2FLY
from blocklists.formats.tables import CSV, JSON
from blocklists.formats.tree import SQUIDGUARD, UT1
from blocklists.formats.unbound import UNBOUND
from blocklists.formats.urls import URLS

FORMATS: dict[str, Format] = {
    format_.name: format_
    for format_ in (
        DOMAINS, HOSTS, URLS, SHA256, SQUIDGUARD, UT1, WILDCARD, DNSMASQ, UNBOUND, ADBLOCK, RPZ, E2GUARDIAN, NETWORKS, CSV, JSON,
        SAFEBROWSING, V2FLY, NEXTDNS, ADGUARD_SERVICES, EXCLUSIONS, EXPRESSIONS,
    )
}  # fmt: skip
