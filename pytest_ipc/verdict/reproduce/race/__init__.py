"""Programs that repeat the calls of a concurrent check until their results fit no sequential order of them."""
