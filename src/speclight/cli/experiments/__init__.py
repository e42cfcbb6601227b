"""Commands that run the experiments behind the documentation."""
