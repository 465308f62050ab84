"""What a doctor looks at, each organ in a module of its own. Nothing here changes anything."""
