"""What the Recalls page is made of."""
