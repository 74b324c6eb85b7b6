"""The load tool is a script with its parts beside it: put its folder on the path as Python does for a script."""

import sys
from pathlib import Path

FOLDER = Path(__file__).parents[2] / "benchmarks"
if str(FOLDER) not in sys.path:
    sys.path.insert(0, str(FOLDER))
