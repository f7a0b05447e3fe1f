"""Stock: what people do with it, and what orders get of it."""
