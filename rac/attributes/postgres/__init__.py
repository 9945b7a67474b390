"""Tables in PostgreSQL: read by key in batches, written back where a cell is still missing."""
