"""The surfaces: command API, query API and CLI. The outermost layer: nothing imports it."""
