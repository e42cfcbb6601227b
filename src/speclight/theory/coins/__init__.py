"""Coin-based verification rules in closed form."""
