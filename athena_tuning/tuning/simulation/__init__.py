"""Recorded recalls run again in virtual time under other configs."""
