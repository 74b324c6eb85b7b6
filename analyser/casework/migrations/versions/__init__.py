"""Revisions of the casework tables, oldest first."""
