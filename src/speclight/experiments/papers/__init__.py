"""The experiments of arXiv 2512.11718v1 run again, each in a file of its own, beside what was published."""
