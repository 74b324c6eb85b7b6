"""The gateway worker: mitmproxy's protocol layers, driven by our own loop, decided by `rules.decide`."""
