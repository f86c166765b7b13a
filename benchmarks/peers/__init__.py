"""The same recipes in the frameworks that a user would otherwise pick, as plain scripts."""
