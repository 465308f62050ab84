"""The front door: accepts a call and hands back a receipt, or passes a call straight through."""
