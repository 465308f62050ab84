"""Functions as OpenFaaS has them: what its clients send, and its stack.yml, become tables as they
would stand in our own file."""
