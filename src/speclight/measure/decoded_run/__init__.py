"""Prompts decoded by drafters and plainly, in turn: texts, calls, seconds, and what each call could give."""
