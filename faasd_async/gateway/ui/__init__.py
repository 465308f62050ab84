"""The operator's page: files for a browser, and how they are served."""
