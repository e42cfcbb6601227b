"""Training of drafters on text that the target itself writes."""
