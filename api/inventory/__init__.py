"""Stock over HTTP: what lies where, and what people do with it."""
