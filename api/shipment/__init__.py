"""Parcels over HTTP: the warehouse, and the carriers."""
