"""``python -m app doctor URL``: checks a service that speaks Baton's protocol against its promises.

It knows nothing of the service but its address, and is safe to run against production: it creates about a dozen
sessions of its own, erases each of them, and stops where a rate limit says so.
"""

from app.doctor.report import Check, add_arguments, examine, main

__all__ = ["Check", "add_arguments", "examine", "main"]
