"""The page of the demo: figures, texts, templates."""
