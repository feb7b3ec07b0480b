"""Runs inferers of users: the model that they call, and checks of what they return."""
