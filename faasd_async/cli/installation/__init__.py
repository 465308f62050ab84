"""What makes a service of the daemon: its units, its configuration, its password."""
