"""Stock: what lies where, what is promised to whom, and what an order got of it."""
