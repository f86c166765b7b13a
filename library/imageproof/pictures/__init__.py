"""How a picture of any size and kind becomes an image."""
