"""Every limit against the oracle."""
