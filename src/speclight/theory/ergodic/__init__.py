"""Bounds and estimates that need no independence, from texts sampled from the target."""
