"""The domain, without Flask and Redis: sessions, messages, turns, claims, export."""
