"""The services around an order's money, and the port to who moves it."""
