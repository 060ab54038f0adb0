"""Carrying who caused a job from the request that queues it to the worker that runs it."""
