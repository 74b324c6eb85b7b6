"""Detectors: from new events to drafts of alerts; values in, values out, no database and no clock."""
