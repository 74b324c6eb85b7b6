"""A mitmproxy master with the five parts that a proxy needs and no addon of ours: the floor that we build on.

python trimmed_master.py PORT CONFDIR ORIGIN_CA [--uvloop]
"""

import asyncio
import logging
import sys
from typing import Any

from mitmproxy import master, options
from mitmproxy.addons import core, disable_h2c, next_layer, proxyserver, tlsconfig

Proxyserver: Any = proxyserver.Proxyserver


async def serve(port: int, confdir: str, origin_ca: str) -> None:
    """Run the proxy until it is ended."""
    loop = asyncio.get_running_loop()
    gateway = master.Master(options.Options(), event_loop=loop)
    gateway._legacy_log_events.uninstall()
    addons: Any = gateway.addons  # mitmproxy leaves these methods without types
    addons.add(core.Core(), Proxyserver(), next_layer.NextLayer(), tlsconfig.TlsConfig(), disable_h2c.DisableH2C())
    settings: Any = gateway.options
    settings.update(
        listen_host="127.0.0.1", listen_port=port, confdir=confdir, ssl_verify_upstream_trusted_ca=origin_ca, connection_strategy="lazy"
    )
    await gateway.run()


def main() -> None:
    """Read the arguments and serve."""
    logging.basicConfig(level=logging.WARNING)
    port, confdir, origin_ca = sys.argv[1:4]
    factory = None
    if "--uvloop" in sys.argv:
        import uvloop

        factory = uvloop.new_event_loop
    asyncio.run(serve(int(port), confdir, origin_ca), loop_factory=factory)


if __name__ == "__main__":
    main()
