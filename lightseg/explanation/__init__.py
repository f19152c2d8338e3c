"""Where a trained net fails, how sure it is, and what it looks at."""
