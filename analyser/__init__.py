"""The analyser: event store, ingest, detectors, alerts and casework; one process owns it, the console's."""
