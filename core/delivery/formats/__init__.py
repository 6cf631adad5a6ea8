"""Formats that a bundle can hold besides its plan: a module each, and one registry."""
