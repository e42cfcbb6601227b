"""How each engine is asked and what its answers mean: one file per engine."""
