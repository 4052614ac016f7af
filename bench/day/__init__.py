"""A simulated day of visitors, deploys, crashes and operators, against the real service."""
