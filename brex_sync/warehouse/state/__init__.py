"""What is known of lists, runs and connections, each a row that is read and advanced here alone."""
