"""What stands before every page of ours in a browser: whom it is for, and what no page may do."""
