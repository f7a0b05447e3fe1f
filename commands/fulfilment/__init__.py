"""The saga at work: it is shown an order, and what follows from that is stored."""
