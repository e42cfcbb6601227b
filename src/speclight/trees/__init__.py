"""Draft trees: the data type, how trees are grown, and what is derived from them. NumPy only."""
