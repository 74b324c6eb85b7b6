"""Canonical URLs, list formats, the compiled list file and its look-up, sealed lists."""
