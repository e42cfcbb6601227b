"""From text and traces to records: profiles, oracle limits, call times, provenance."""
