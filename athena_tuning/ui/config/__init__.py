"""The config page: what is in force, what is proposed, and how a person changes it."""
