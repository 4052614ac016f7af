"""The HTTP edge: views over the conversation, and what stands around every answer."""
