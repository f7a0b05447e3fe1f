"""PostgreSQL: the schema as versioned SQL files, one object each, and how it is applied."""
