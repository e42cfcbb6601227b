"""Commands that decode, and that check that decoding is lossless."""
