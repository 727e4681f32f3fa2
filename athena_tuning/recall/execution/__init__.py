"""How the layer tasks of recalls run: threads, one event loop and one shared limit."""
