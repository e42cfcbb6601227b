"""Yardsticks that bounds are tested against: sources, exact optima, simulations."""
