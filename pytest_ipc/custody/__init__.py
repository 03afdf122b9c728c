"""Who owns what, and in which order it goes."""
