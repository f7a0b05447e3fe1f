"""A package, so that its platform is down before other folders' tests begin."""
