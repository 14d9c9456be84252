"""Every message of the compiler: one function each, by area; its docstring is what `isocline explain CODE` prints."""
