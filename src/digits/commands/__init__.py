"""The commands of `digits`, grouped by what they work on; `cli` puts them together."""
