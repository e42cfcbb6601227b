"""Scores of a trace beside decodes of the very configurations."""
