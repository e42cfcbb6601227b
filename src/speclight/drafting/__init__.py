"""Drafters: from the committed text (and target features) to a draft tree."""
