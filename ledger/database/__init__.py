"""The database: transactions, tables and the SQL on them, encryption at rest, MACs of rows."""
