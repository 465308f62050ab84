"""HTTP/1.1 from the client's side: pipework that knows no functions.

``reader`` understands replies and ``request`` writes heads, both without a socket; a ``connection``
carries one exchange after the other, a ``pool`` keeps the connections to one host.
"""
