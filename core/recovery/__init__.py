"""Recovery: pruning in rounds, with fine-tuning between them while the masks are held."""
