"""Exponential races against coin-based rules."""
