"""The limits: pure functions on numpy and scipy. Nats everywhere; no models, no files, no clock."""
