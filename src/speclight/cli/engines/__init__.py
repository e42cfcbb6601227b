"""Commands that speak to inference servers, and that read what they write."""
