"""Commands about drafters: train, examine, profile."""
