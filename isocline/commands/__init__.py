"""What a user types: one module a group of commands, each command a thin layer over a public function."""
