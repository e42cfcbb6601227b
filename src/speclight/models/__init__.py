"""A causal language model that scores a tree: weights, forward passes, caches, processed laws."""
