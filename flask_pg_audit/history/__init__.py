"""Reading the history: composable selects over the audit tables."""
