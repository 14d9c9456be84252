"""What may be written in a file: functions, distributions, regularizers, options."""
