"""Faults injected into real runs, and what became of them: `python -m trainers.bad_days`."""
