"""What the front door says of itself: all routes as an OpenAPI 3.1 document.

The parts stand in a module for each group of routes. Nothing of it is imported before somebody asks
for it.
"""
