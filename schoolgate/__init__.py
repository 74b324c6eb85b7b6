"""Command line, supervisor and first run: wires the parts together; nothing imports this package."""
