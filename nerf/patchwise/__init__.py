"""`tvnet`: total variation, and what a small network learned that it misses, as far as the views support it."""
