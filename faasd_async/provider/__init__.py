"""Another provider of functions: somebody who runs them, and is asked for them over HTTP."""
