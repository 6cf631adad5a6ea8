"""What the person decides: the sparsity plan. Nothing here needs torch."""
