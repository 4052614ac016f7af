"""HTTP in and out, as JSON: one blueprint a file."""
