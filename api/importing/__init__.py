"""Orders from a CSV: a client of the public HTTP API, so an import obeys the rules of any caller.

Rule: every row ends in exactly one place - an order, a cancellation or the rejects file - and
importing again, whole or after a kill, changes nothing that is already there. The idempotency
keys, which the server keeps for good, are what makes it so; nothing is remembered here.
"""
