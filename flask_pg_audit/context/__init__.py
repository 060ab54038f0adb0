"""Who makes a change and why: from the running code to settings of the right transaction. Knows no Flask."""
