"""What OpenFaaS' clients ask, where another provider runs functions beside ours: ours come first,
and what is not ours is asked of it."""
