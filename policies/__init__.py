"""Who may see what, for which purpose: identity, cases, rules, decisions."""
