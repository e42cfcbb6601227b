"""Commands that tell how fast a target could be decoded."""
