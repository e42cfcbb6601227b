"""Experiments: questions about the whole chain, each answered by one command that anyone can run again."""
