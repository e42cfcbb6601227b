"""The loop: draft, score, verify, commit."""
