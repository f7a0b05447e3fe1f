"""Payment providers: adapters of the port in commands/payment/gateway.py."""
