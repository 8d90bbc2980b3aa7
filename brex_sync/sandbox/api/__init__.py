"""The reading side of the API: endpoints, paging, filters, details and the answers from a world."""
