"""Races, and the concurrent check that must find each: for each mechanism a C file and a table of the same name beside it."""
