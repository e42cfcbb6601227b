"""Records in, files out. Computes no statistic."""
