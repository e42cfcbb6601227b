"""The page of a plan: what is possible, what to do, and what if."""
