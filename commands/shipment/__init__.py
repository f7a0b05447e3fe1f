"""Commands on parcels, and the port through which carriers tell of them."""
