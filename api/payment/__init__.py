"""An order's money over HTTP."""
