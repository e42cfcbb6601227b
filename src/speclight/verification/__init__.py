"""Verification rules: (tree, target laws, noise) -> verdict. Plain NumPy; torch only in batched.py."""
