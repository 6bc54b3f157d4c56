"""Task types: with real files, real processes, a real installed package."""
