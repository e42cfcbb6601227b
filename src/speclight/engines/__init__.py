"""Inference servers that people run: limits, oracles and losslessness of an endpoint, its metrics read."""
