"""EAGLE-3 heads: one decoder layer that continues the target's own states.

Source: Li et al. 2025, "EAGLE-3: Scaling up Inference Acceleration of Large Language Models via
Training-Time Test" (arXiv 2503.01840), section 3.
"""
