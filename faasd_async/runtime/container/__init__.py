"""Functions that are images: containers of an engine that speaks Docker's API."""
