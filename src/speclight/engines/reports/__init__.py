"""Metrics, logs and result files of engines, read into one record of counts."""
