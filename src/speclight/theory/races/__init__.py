"""Shared-randomness drafting: exponential races, the rank of what they emit, and its entropy."""
