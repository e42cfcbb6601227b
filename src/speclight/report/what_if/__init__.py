"""The part of a page in which the reader chooses, and the numbers follow."""
