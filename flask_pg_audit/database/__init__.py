"""From declarations to what is in the database: render, read the catalog, plan, apply."""
