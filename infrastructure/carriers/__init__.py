"""Adapters of the carrier port: who sends webhooks about parcels, and in which format."""
