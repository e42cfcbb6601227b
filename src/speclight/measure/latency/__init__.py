"""How long a call of a target takes: measured, recorded, and beside what the machine could do."""
