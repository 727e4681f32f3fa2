"""The incidents page and the bell: what has begun, what is over, and what happened around it."""
