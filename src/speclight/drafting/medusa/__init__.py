"""Medusa heads: each guesses the token a fixed number of places ahead, from the target's last state alone.

Source: Cai et al. 2024, "Medusa: Simple LLM Inference Acceleration Framework with Multiple Decoding Heads"
(arXiv 2401.10774), section 2.1.
"""
