"""What fills a world."""
