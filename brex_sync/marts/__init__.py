"""What finance people ask of the tables: the marts, and the questions that read them."""
