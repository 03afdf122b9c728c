"""Lies, and who must catch them: for each mechanism a C file that tells them and a table of the same name beside it."""
