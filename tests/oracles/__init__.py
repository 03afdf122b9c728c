"""The same objects by other people's bindings: what one makes, the other uses, both ways."""
