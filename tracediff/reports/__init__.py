"""What people and machines read: pure functions from results to text, tables and JSON."""
