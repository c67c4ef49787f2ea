"""A user's own data: imported, checked, verified."""
