"""Pages for people: the full page, the demo site, the knowledge folder, static files."""
