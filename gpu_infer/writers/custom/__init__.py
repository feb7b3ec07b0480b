"""Runs writers of users: places of their files, and files that appear together or not at all."""
