"""Laws of one token and of one step: where they come from and how they are compared."""
