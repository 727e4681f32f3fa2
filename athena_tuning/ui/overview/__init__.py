"""What the Overview page is made of."""
