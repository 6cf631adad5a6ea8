"""The model card of a bundle: what its manifest says, for people."""
