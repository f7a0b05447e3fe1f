"""Proof that the log is what it was: hash chains, signed seals, copies that nobody can change."""
