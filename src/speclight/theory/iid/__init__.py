"""Bounds whose theorem needs independent contexts; all are models of a real target."""
