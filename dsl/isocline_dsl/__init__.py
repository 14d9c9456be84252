"""The language of `.dyn` files: text to tree, names, messages, the canonical layout. Knows nothing of the compiler."""
