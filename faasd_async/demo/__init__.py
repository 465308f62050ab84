"""Functions to try the daemon with: each is a program that reads a body and writes an answer."""
