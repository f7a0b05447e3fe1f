"""The money of one order: authorized, captured, voided, refunded."""
