"""An order over HTTP: bodies taken, documents given, and who may."""
