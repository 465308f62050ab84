"""What a caller may ask of a call that was accepted."""
