"""The audit-log pages."""
