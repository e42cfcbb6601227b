"""Trees of equal size with one drafter, at the same contexts."""
