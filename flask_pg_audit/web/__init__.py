"""The Flask extension: state per app, configuration, who is logged in, and the ``flask audit`` commands."""
