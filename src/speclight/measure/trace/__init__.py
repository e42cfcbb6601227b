"""A target and its drafters along the target's own text: one record, for judging trees, rules and budgets."""
