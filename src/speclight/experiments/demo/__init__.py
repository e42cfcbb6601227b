"""The demo: everything measured for one target, as one record."""
