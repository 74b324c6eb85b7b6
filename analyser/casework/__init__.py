"""Casework: alerts, outcomes, unblock requests, grants, accounts, and the audit chain that holds every step."""
