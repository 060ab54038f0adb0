"""What runs in the environments of the contenders: needs what is installed there, and nothing else of this project.

Each contender is a module with three functions: ``declare(db)`` returns the model ``Account``, ``start(app, db)`` does
what an application does when it starts, and ``install(db)`` puts everything into an empty database.
"""
