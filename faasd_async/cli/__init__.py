"""The operator's command line: it talks to a daemon over HTTP, here or elsewhere."""
