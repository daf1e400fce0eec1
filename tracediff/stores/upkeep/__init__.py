"""What frees a store of what nobody needs, and erases what has to be gone."""
