"""What every page has: style, script, templates, and data carried inside."""
