"""The parcels of one order, from the packing table to the door."""
