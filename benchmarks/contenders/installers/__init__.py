"""Programs that run in the environments of the contenders: they read a task and put triggers into a database."""
