"""The daemon's life, and what it has to do with: signals, systemd, the settings read anew."""
