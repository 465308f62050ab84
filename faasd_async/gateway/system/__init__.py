"""What an operator asks and orders: the routes under ``/system/``."""
