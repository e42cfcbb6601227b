"""A plan as settings of inference engines: what each of them can do of it, and how it is told."""
