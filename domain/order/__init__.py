"""An order: what was bought, by whom, and what is left of it."""
