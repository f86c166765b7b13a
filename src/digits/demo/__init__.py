"""A page on which one draws a digit, and models say what they see."""
