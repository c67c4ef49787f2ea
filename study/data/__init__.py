"""A user's own data: imported, checked, fetched."""
