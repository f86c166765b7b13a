"""Photographs: features of a frozen backbone, computed once per image, and a linear head."""
