"""How well the knowledge engine answers, beside other searches over the same pages."""
