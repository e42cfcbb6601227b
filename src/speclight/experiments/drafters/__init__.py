"""Drafters compared on the same prompts."""
