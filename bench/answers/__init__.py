"""How good the answers of the knowledge engine are, on documentation that others wrote. README.md has the figures."""
