"""Migrations of the casework database, run by `CaseworkDatabase` when it opens."""
