"""Commands that read records and say what follows."""
