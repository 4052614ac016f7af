"""Small programs for the people who work on Baton; the service does not need them."""
