"""The returns of one order: asked for, approved, received, refunded."""
