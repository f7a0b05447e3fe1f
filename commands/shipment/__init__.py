"""Parcels: what people do with them, and what carriers tell of them."""
