"""Parts of `lists.py`."""
