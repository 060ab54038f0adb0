"""What the project needs to run itself; nothing here is installed with the package."""
