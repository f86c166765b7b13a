"""Raw images, before any model: read, packed in one form, validated, explored and split."""
