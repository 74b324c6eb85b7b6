"""Parts of the detection benchmark `benchmarks/detection.py`."""
