"""Attacks on the sandbox: what is tried, what must come out, what is looked at."""
