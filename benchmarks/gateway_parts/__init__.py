"""Parts of the load tool `benchmarks/gateway.py`."""
